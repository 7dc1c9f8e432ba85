//! `push-records`: pushes JSON lines to a Kinesis stream in every Region.

mod args;
mod input;
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

/// Pushing makes and drops some tens of small objects for each record, on several threads.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // Apart from the rest, because it needs no settings.
    if let Ok(Completions { completions }) = Completions::try_parse() {
        return print_completions(completions);
    }
    telemetry::init_program();
    let result = match args::parse() {
        Command::Push(args) => push::push(&args).await,
        Command::Resume(args) => resume::resume(&args).await,
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
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
