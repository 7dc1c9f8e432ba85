//! `sealstream`: pushes and reads encrypted records in Amazon Kinesis.

mod command_line;
mod push;
mod resume;
mod shutdown;
mod tail;

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Runtime;

use command_line::{CommandLine, SubCommand};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    if let SubCommand::Completions { shell } = command {
        return print_completions(shell);
    }
    record_telemetry::init_program();
    let ended = Runtime::new().context("cannot start").and_then(|runtime| {
        // As a task, so that it shares a thread with those that it waits for.
        let ended = runtime.block_on(async { tokio::spawn(run(command)).await });
        // A call to KMS that hangs is not waited for.
        runtime.shutdown_background();
        ended?
    });
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(tail::exit_code(&error))
    })
}

async fn run(command: SubCommand) -> anyhow::Result<ExitCode> {
    let all_done = match command {
        SubCommand::Push(args) => push::push(&args).await?,
        SubCommand::Resume(args) => resume::resume(&args).await?,
        SubCommand::Tail(settings) => tail::run(&settings).await?,
        SubCommand::Completions { .. } => unreachable!("handled without a runtime"),
    };
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "sealstream", &mut script);
    match stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
