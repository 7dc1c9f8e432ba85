//! `sealstream tail`: follows a stream and prints its records decrypted.

mod args;
mod decode;
mod diagnostic;
mod error;
mod follow;
mod printer;
mod shards;
mod since;

use std::io::stdout;
use std::time::Duration;

use anyhow::Context;
use aws_config::{Region, SdkConfig};

pub(crate) use args::TailArgs;

use crate::exit_code::{CommandError, ExitCode};
use crate::output;
use crate::shutdown::Shutdown;
use error::TailError;
use follow::{Summary, tail};

/// Prints the records of a stream.
pub(crate) async fn run(settings: &TailArgs) -> Result<ExitCode, CommandError> {
    let config = load_config(settings).await;
    let shutdown = Shutdown::on_signals(Duration::ZERO).context("cannot wait for signals")?;
    let notify = |notice| output::diagnostic(notice);
    let summary = tail(settings, &config, &shutdown.draining, stdout(), notify).await;
    let summary = summary.map_err(TailError::into_command_error)?;
    report(&summary);
    Ok(ExitCode::complete_if(summary.unreadable == 0))
}

async fn load_config(settings: &TailArgs) -> SdkConfig {
    let loader = aws_config::from_env();
    match &settings.region {
        Some(region) => loader.region(Region::new(region.to_string())).load().await,
        None => loader.load().await,
    }
}

/// Says nothing to whoever has only taken what was wanted, such as `head`.
fn report(summary: &Summary) {
    if summary.output_closed {
        return;
    }
    let Summary { records, unreadable, shards, data_keys, .. } = summary;
    output::diagnostic(format_args!(
        "{records} records printed of {shards} shards, {unreadable} could not be"
    ));
    let percent = 100.0 * data_keys.hit_rate().unwrap_or_default();
    let (calls, hits) = (data_keys.calls, data_keys.hits);
    output::diagnostic(format_args!(
        "  data keys: {calls} decrypted by KMS, {hits} reused ({percent:.1} % cache hits)"
    ));
}
