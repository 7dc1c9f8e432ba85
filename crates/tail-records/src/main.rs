//! `tail-records`: follows a Kinesis stream of encrypted records and prints them decrypted.

use std::io::{self, Write, stdout};
use std::process::{ExitCode, exit};

use anyhow::Context;
use aws_config::{Region, SdkConfig};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use tail_records::{Summary, TailError, TailSettings, tail};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const EXAMPLES: &str = "\
Examples:
  Follow a stream from now on:
    tail-records --stream records --region eu-west-1 --cmk-arn arn:aws:kms:eu-west-1:…:key/…

  The last ten minutes, once, with the settings from the environment:
    export STREAM=records AWS_REGION=eu-west-1 CMK_ARN=arn:aws:kms:eu-west-1:…:key/…
    tail-records --since 10m --no-follow | jq .id

  One record with its place in the stream:
    tail-records --since trim-horizon --count 1 --with-metadata

What is printed is plaintext: mind who sees the terminal, its scrollback, and files.
Credentials, profiles and endpoints are found the way the AWS CLI finds them.
The exit code is 0 when all records that were read were printed, 1 when some could not be, 2 when a
setting is wrong or the stream cannot be read, and 3 when the caller may not decrypt.
SIGINT (Ctrl-C) and SIGTERM end the program; a second one ends it at once.";

/// Follows a Kinesis stream of encrypted records and prints them, one JSON object a line.
///
/// Records are decrypted with the permissions of the caller, and accepted only if they were encrypted
/// for this stream. What cannot be printed is named on standard error by shard and sequence number.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[command(flatten)]
    settings: TailSettings,

    /// Print the completion script for a shell and exit
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,
}

/// A command line that asks for completions and nothing else.
#[derive(Debug, Parser)]
struct Completions {
    #[arg(long)]
    completions: Shell,
}

const NOT_ALL_PRINTED: u8 = 1;
const FAILED: u8 = 2;
const NOT_PERMITTED: u8 = 3;
/// What a shell reports of a program that SIGINT ended.
const ENDED_AT_ONCE: i32 = 130;

fn main() -> ExitCode {
    // Apart from the rest, because it needs no settings.
    if let Ok(Completions { completions }) = Completions::try_parse() {
        return print_completions(completions);
    }
    record_telemetry::init_program();
    let Args { settings, .. } = Args::parse();
    let ended = Runtime::new().context("cannot start").and_then(|runtime| {
        let summary = runtime.block_on(run(&settings));
        // A call to KMS that hangs is not waited for.
        runtime.shutdown_background();
        summary
    });
    match ended {
        Ok(summary) => {
            report(&summary);
            ExitCode::from(if summary.unreadable == 0 { 0 } else { NOT_ALL_PRINTED })
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            let not_permitted =
                matches!(error.downcast_ref(), Some(TailError::NotPermitted { .. }));
            ExitCode::from(if not_permitted { NOT_PERMITTED } else { FAILED })
        }
    }
}

async fn run(settings: &TailSettings) -> anyhow::Result<Summary> {
    let config = load_config(settings).await;
    let stop = stop_on_signals().context("cannot wait for signals")?;
    let notify = |notice| eprintln!("{notice}");
    Ok(tail(settings, &config, &stop, stdout(), notify).await?)
}

async fn load_config(settings: &TailSettings) -> SdkConfig {
    let loader = aws_config::from_env();
    match &settings.region {
        Some(region) => loader.region(Region::new(region.to_string())).load().await,
        None => loader.load().await,
    }
}

fn stop_on_signals() -> io::Result<CancellationToken> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
        };
        next().await;
        stopping.cancel();
        next().await;
        exit(ENDED_AT_ONCE);
    });
    Ok(stop)
}

/// Says nothing to whoever has only taken what was wanted, such as `head`.
fn report(summary: &Summary) {
    if summary.output_closed {
        return;
    }
    let Summary { records, unreadable, shards, data_keys, .. } = summary;
    eprintln!("{records} records printed of {shards} shards, {unreadable} could not be");
    let percent = 100.0 * data_keys.hit_rate().unwrap_or_default();
    let (calls, hits) = (data_keys.calls, data_keys.hits);
    eprintln!("  data keys: {calls} decrypted by KMS, {hits} reused ({percent:.1} % cache hits)");
}

fn print_completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tail-records", &mut script);
    match stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
