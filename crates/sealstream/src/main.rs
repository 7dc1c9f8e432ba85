//! `sealstream`: pushes and reads encrypted records in Amazon Kinesis.

// Everything is written through `output`, which never panics.
#![warn(clippy::print_stderr)]

mod aws;
mod aws_failure;
mod command_line;
mod consumer_event;
mod environment;
mod exit_code;
mod flags;
mod output;
mod push;
mod redrive;
mod resume;
mod shutdown;
mod stream;
mod tail;

use std::process;

use anyhow::Context;
use clap_complete::Shell;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Runtime;

use command_line::SubCommand;
use exit_code::{CommandError, ExitCode};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> process::ExitCode {
    let command = command_line::parse();
    if let SubCommand::Completions { shell } = command {
        return end(print_completions(shell));
    }
    record_telemetry::init_program();
    end(run_to_end(command))
}

fn end(result: Result<ExitCode, CommandError>) -> process::ExitCode {
    let exit_code = result.unwrap_or_else(|error| {
        output::diagnostic(&error);
        error.exit_code
    });
    exit_code.into()
}

fn run_to_end(command: SubCommand) -> Result<ExitCode, CommandError> {
    let runtime = Runtime::new().context("cannot start")?;
    // A task shares a thread with the tasks that it waits for.
    let ended = runtime.block_on(async { tokio::spawn(run(command)).await });
    // Does not wait for a call to KMS that hangs.
    runtime.shutdown_background();
    ended?
}

async fn run(command: SubCommand) -> Result<ExitCode, CommandError> {
    match command {
        SubCommand::Push(args) => push::push(&args).await,
        SubCommand::Resume(args) => resume::resume(&args).await,
        SubCommand::Tail(args) => tail::run(&args).await,
        SubCommand::Redrive(args) => redrive::run(&args).await,
        SubCommand::ConsumerEvent(args) => consumer_event::run(&args).await,
        SubCommand::Completions { shell } => print_completions(shell),
    }
}

fn print_completions(shell: Shell) -> Result<ExitCode, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line::command(), "sealstream", &mut script);
    output::print(&String::from_utf8_lossy(&script)).context("cannot write to standard output")?;
    Ok(ExitCode::Complete)
}
