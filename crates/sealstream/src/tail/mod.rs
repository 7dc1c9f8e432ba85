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

pub(crate) use args::TailArgs;

use crate::exit_code::{CommandError, ExitCode};
use crate::output::{self, count};
use crate::shutdown::Shutdown;
use error::TailError;
use follow::{Summary, tail};

/// Prints the records of a stream.
pub(crate) async fn run(args: &TailArgs) -> Result<ExitCode, CommandError> {
    let config = args.stream.load_config().await?;
    let shutdown = Shutdown::on_signals(Duration::ZERO).context("cannot handle signals")?;
    let summary = tail(args, config, &shutdown.draining, stdout(), output::diagnostic).await;
    let summary = summary.map_err(TailError::into_command_error)?;
    // Silent if the reader, such as `head`, has seen enough.
    if !summary.output_closed {
        output::diagnostic(describe(&summary));
    }
    Ok(ExitCode::complete_if(summary.unreadable == 0 && summary.shards_gone == 0))
}

fn describe(summary: &Summary) -> String {
    let Summary { records, unreadable, shards, data_keys, .. } = summary;
    let mut text =
        format!("{} printed from {}", count(*records, "record"), count(*shards as u64, "shard"));
    if *unreadable > 0 {
        text += &format!("; {} could not be read", count(*unreadable, "message"));
    }
    if let Some(hit_rate) = data_keys.hit_rate() {
        let (calls, hits) = (count(data_keys.calls, "KMS call"), data_keys.hits);
        let percent = 100.0 * hit_rate;
        text += &format!("\n  data keys: {calls}, {hits} cache hits ({percent:.1} %)");
    }
    text
}
