//! `push-records`: pushes JSON lines to a Kinesis stream in every Region.

mod args;
mod input;
mod report;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use futures::stream::{self, StreamExt};
use record_pusher::RecordPusher;
use tokio::sync::mpsc::Receiver;
use tracing_subscriber::EnvFilter;

use args::{Args, Completions};
use input::{Input, Line};
use report::Report;

/// Batches on their way at once.
const BATCHES_AT_ONCE: usize = 4;
/// Records and bytes after which a batch is sent without waiting for more.
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

#[tokio::main]
async fn main() -> ExitCode {
    // Apart from the rest, because it needs no settings.
    if let Ok(Completions { completions }) = Completions::try_parse() {
        let mut script = Vec::new();
        clap_complete::generate(completions, &mut Args::command(), "push-records", &mut script);
        return match stdout().write_all(&script) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(stderr)
        .init();
    match push(&args).await {
        Ok(report) => {
            report.print(args.output);
            if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn push(args: &Args) -> anyhow::Result<Report> {
    let input = Input::open(&args.files)?;
    let config = aws_config::load_from_env().await;
    let pusher =
        RecordPusher::new(&args.settings, &config).await.context("the settings do not work")?;
    let mut report = Report::new(&args.settings.regions, input.size());
    let lines = input.read(args.fail_fast);
    let batches = stream::unfold(lines, |mut lines| async {
        next_batch(&mut lines).await.map(|batch| (batch, lines))
    });
    let mut pushed = batches
        .map(|batch| push_batch(&pusher, batch))
        .buffer_unordered(BATCHES_AT_ONCE)
        .boxed_local();
    while let Some(batch) = pushed.next().await {
        report.add(batch, pusher.data_key_stats());
    }
    drop(pushed);
    Ok(report.finish(pusher.data_key_stats()))
}

/// The lines that are there, up to the limits of a batch; waits for the first one only.
async fn next_batch(lines: &mut Receiver<Line>) -> Option<Vec<Line>> {
    let mut batch = vec![lines.recv().await?];
    let mut bytes = batch[0].bytes;
    while batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
        let Ok(line) = lines.try_recv() else { break };
        bytes += line.bytes;
        batch.push(line);
    }
    Some(batch)
}

/// A line with what became of it.
struct Pushed {
    place: String,
    bytes: usize,
    result: PushResult,
}

enum PushResult {
    /// The line holds no record.
    Rejected(String),
    Pushed(Result<record_pusher::Outcome, record_pusher::PushError>),
}

async fn push_batch(pusher: &RecordPusher, lines: Vec<Line>) -> Vec<Pushed> {
    let (mut records, mut pushed) = (Vec::new(), Vec::new());
    let mut waiting = Vec::new();
    for Line { place, bytes, record } in lines {
        match record {
            Ok(record) => {
                records.push(record);
                waiting.push((place, bytes));
            }
            Err(reason) => {
                pushed.push(Pushed { place, bytes, result: PushResult::Rejected(reason) });
            }
        }
    }
    let outcomes = pusher.put_records(records).await;
    pushed.extend(waiting.into_iter().zip(outcomes).map(|((place, bytes), outcome)| Pushed {
        place,
        bytes,
        result: PushResult::Pushed(outcome),
    }));
    pushed
}
