//! `fake-aws`: the AWS services as the sink of a benchmark.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use clap::Parser;
use fake_aws::{FakeAws, Fault, KeyType, Operation, Rule, StreamSettings};
use serde::Serialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Plays the AWS services on 127.0.0.1 until SIGTERM or Ctrl-C.
///
/// Prints its URL when it is ready. With events, prints a line of JSON when the function has
/// answered them all. Prints a line of JSON with the calls and the streams at the end.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The port; 0 for a free one
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Regions that have the streams and the tables
    #[arg(long = "region", value_name = "REGION", default_value = "us-east-1")]
    regions: Vec<String>,

    /// A stream of one shard; its records are counted and dropped
    #[arg(long = "stream", value_name = "NAME")]
    streams: Vec<String>,

    /// A table, by its name and the names of its partition key and sort key, which are strings
    #[arg(long = "table", value_name = "NAME:KEY[:KEY]")]
    tables: Vec<TableSettings>,

    /// The share of PutRecords calls that are throttled, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0")]
    throttle: Share,

    /// Seconds by which the server's clock is ahead; negative if it is behind. Requests that were signed
    /// more than five minutes from its time are refused
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_skew: i64,

    /// Events for a Lambda function, one JSON per line. Set AWS_LAMBDA_RUNTIME_API to
    /// 127.0.0.1:PORT for the function
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// How often the events are served
    #[arg(long, value_name = "N", default_value_t = 1, requires = "events")]
    repeat: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let aws = FakeAws::start_on(args.port).await.context("cannot listen on the port")?;
    args.create_streams_and_tables(&aws);
    aws.skew_clock(args.clock_skew);
    let throttled = Rule::new(Fault::Throttle).operation(Operation::PutRecords);
    aws.faults().inject(throttled.chance(args.throttle.0, 0));
    if let Some(file) = &args.events {
        aws.runtime_api().push(read_lines(file)?, args.repeat);
    }
    print_line(aws.url())?;
    let benchmark = async {
        if args.events.is_some() {
            aws.runtime_api().done().await;
            print_json(&aws.runtime_api().summary())?;
        }
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        result = benchmark => result?,
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    print_json(&args.report(&aws))
}

impl Args {
    fn create_streams_and_tables(&self, aws: &FakeAws) {
        let sink = StreamSettings { keep: false, ..StreamSettings::default() };
        for region in &self.regions {
            for stream in &self.streams {
                aws.kinesis().create_stream(region, stream, sink);
            }
            for TableSettings { name, keys } in &self.tables {
                let keys: Vec<_> = keys.iter().map(|key| (key.as_str(), KeyType::Text)).collect();
                aws.dynamodb().create_table(region, name, &keys);
            }
        }
    }

    fn report(&self, aws: &FakeAws) -> impl Serialize {
        let calls = aws.faults().all_calls().into_iter().map(|((region, operation), calls)| {
            json!({ "region": region, "operation": operation, "calls": calls.calls })
        });
        let streams = self.regions.iter().flat_map(|region| {
            self.streams.iter().map(move |stream| {
                let totals = aws.kinesis().totals(region, stream);
                json!({ "region": region, "stream": stream, "records": totals.records, "bytes": totals.bytes })
            })
        });
        json!({ "calls": calls.collect::<Vec<_>>(), "streams": streams.collect::<Vec<_>>() })
    }
}

#[derive(Debug, Clone, Copy)]
struct Share(f64);

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or("a share is a number from 0 to 1")
    }
}

#[derive(Debug, Clone)]
struct TableSettings {
    name: String,
    /// One or two.
    keys: Vec<String>,
}

impl FromStr for TableSettings {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split(':').map(String::from).collect();
        match parts.as_slice() {
            [name, keys @ ..] if (1..=2).contains(&keys.len()) => {
                Ok(Self { name: name.clone(), keys: keys.to_vec() })
            }
            _ => Err("a table is NAME:KEY or NAME:KEY:KEY"),
        }
    }
}

fn read_lines(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let content = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    Ok(lines.map(<[u8]>::to_vec).collect())
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(&serde_json::to_string(value)?)
}

/// Another program may wait for the line, so it does not stay in a buffer.
fn print_line(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}
