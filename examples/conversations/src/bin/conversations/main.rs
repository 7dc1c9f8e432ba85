//! `conversations`: private messages through the pipeline, and what the table has of them.

mod args;
mod pipeline;
mod printable;
mod read;
mod view;
mod write;

use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use printable::printable;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    record_telemetry::init_program();
    let result = match &args.command {
        Command::LoadSchema(table) => write::load_schema(table, args.output).await,
        Command::Seed(seed) => write::seed(seed, args.output).await,
        Command::Send(send) => write::send(send, args.output).await,
        Command::List(list) => read::list(list, args.output).await,
        Command::Show(show) => read::show(show, args.output).await,
        Command::Drop(table) => write::drop(table, args.output).await,
    };
    match result.and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// A reader such as `head` may have seen enough.
fn print(text: &str) -> anyhow::Result<()> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
