//! `sealstream tail`: follows a stream and prints its records decrypted.

mod decode;
mod diagnostic;
mod error;
mod follow;
mod kinesis;
mod printer;
mod reader;
mod settings;
mod shards;
mod since;

use std::io::{self, stdout};
use std::process::exit;

use anyhow::Context;
use aws_config::{Region, SdkConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(crate) use settings::TailSettings;

use error::TailError;
use follow::{Summary, tail};

const FAILED: u8 = 2;
const NOT_PERMITTED: u8 = 3;
/// What a shell reports of a program that SIGINT ended.
const ENDED_AT_ONCE: i32 = 130;

/// Whether all records that were read were printed.
pub(crate) async fn run(settings: &TailSettings) -> anyhow::Result<bool> {
    let config = load_config(settings).await;
    let stop = stop_on_signals().context("cannot wait for signals")?;
    let notify = |notice| eprintln!("{notice}");
    let summary = tail(settings, &config, &stop, stdout(), notify).await?;
    report(&summary);
    Ok(summary.unreadable == 0)
}

/// The exit code of a program that ends with `error`.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let not_permitted = matches!(error.downcast_ref(), Some(TailError::NotPermitted { .. }));
    if not_permitted { NOT_PERMITTED } else { FAILED }
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
