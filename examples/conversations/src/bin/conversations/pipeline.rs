//! Sending through the pipeline.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use aws_outcome::Cause;
use conversations::{Message, PARTITION_KEY, SchemaError, check_table};
use record_pusher::{Outcome, PushError, Record, RecordPusher};

use crate::args::Target;

/// Sends messages to the stream of every Region, those of a group in their order.
pub(crate) async fn push(messages: &[Message], target: &Target) -> anyhow::Result<()> {
    let (Some(kms_key), Some(stream)) = (&target.kms_key, &target.stream) else {
        bail!("--kms-key and --stream are needed");
    };
    check_tables(target).await?;
    let regions = target.regions.clone();
    let config = aws_config::load_from_env().await;
    let pusher = RecordPusher::builder(stream.clone(), kms_key.clone(), regions)
        // The messages of a group in one shard, in the order in which they were sent.
        .partition_key_field(PARTITION_KEY)
        .build(&config)
        .await
        .context("the settings do not work")?;
    let records = messages.iter().map(|message| Record::from(&message.record())).collect();
    complete(&pusher.put_records(records).await)
}

/// A consumer that writes to another table quarantines messages, which their sender never learns.
async fn check_tables(target: &Target) -> anyhow::Result<()> {
    for region in &target.regions {
        let config = target.place.config_in(region.as_str()).await;
        match check_table(&config, &target.table_name).await {
            Ok(()) => {}
            // Who may send need not be allowed to look.
            Err(SchemaError::Call { failure, .. }) if failure.cause() == Cause::AccessDenied => {}
            Err(error) => return Err(error).context(format!("nothing was sent; in {region}")),
        }
    }
    Ok(())
}

fn complete(outcomes: &[Result<Outcome, PushError>]) -> anyhow::Result<()> {
    let mut reasons = BTreeMap::<String, usize>::new();
    for outcome in outcomes {
        match outcome {
            Err(error) => *reasons.entry(error.to_string()).or_default() += 1,
            Ok(outcome) => {
                for (region, delivery) in outcome.regions() {
                    if let Err(error) = delivery {
                        *reasons.entry(format!("to {region}: {error}")).or_default() += 1;
                    }
                }
            }
        }
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let of = |(reason, count): (&String, &usize)| format!("{count} × {reason}");
    let reasons: Vec<_> = reasons.iter().map(of).collect();
    bail!("of {} messages some were not delivered:\n  {}", outcomes.len(), reasons.join("\n  "))
}
