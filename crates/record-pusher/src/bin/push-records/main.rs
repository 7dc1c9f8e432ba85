//! `push-records`: pushes JSON lines to a Kinesis stream in every Region.

mod args;
mod input;
mod metrics;
mod push;
mod report;
mod resume;
mod shutdown;
mod spool;

use std::io::{Write, stdout};
use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

use args::{Command, Completions};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // Apart from the rest, because it needs no settings.
    if let Ok(Completions { completions }) = Completions::try_parse() {
        return print_completions(completions);
    }
    record_telemetry::init_program();
    // As a task, so that it shares a thread with those of the pusher, which it waits for.
    match tokio::spawn(run(args::parse())).await.unwrap_or_else(|error| Err(error.into())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Push(args) => push::push(&args).await,
        Command::Resume(args) => resume::resume(&args).await,
    }
}

fn print_completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "push-records", &mut script);
    match stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
