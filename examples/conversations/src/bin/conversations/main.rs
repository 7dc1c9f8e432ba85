//! `conversations`: private messages through the pipeline, and what the table has of them.

mod args;
mod pipeline;
mod read;
mod view;
mod write;

use std::io::{Write, stdout};
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

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
    };
    match result.and_then(|text| Ok(stdout().write_all(text.as_bytes())?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
