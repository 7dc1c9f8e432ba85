//! `sealstream consumer-event`: prints records of a stream as Lambda delivers them to record-consumer.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use aws_outcome::Failure;
use aws_sdk_kinesis::types::EncryptionType;
use base64::prelude::{BASE64_STANDARD, Engine};
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::aws_failure;
use crate::exit_code::{CommandError, ExitCode};
use crate::output;
use crate::stream::args::StreamArgs;
use crate::stream::kinesis::{Kinesis, Position, ReadError, Record, StreamApi};
use crate::stream::reader::Reader;

const EXAMPLES: &str = "\
Example:
  sealstream consumer-event --stream records --region us-east-1 >event.json
  aws lambda invoke --function-name record-consumer --payload fileb://event.json response.json

The caller needs kinesis:DescribeStreamSummary, kinesis:ListShards, kinesis:GetShardIterator and
kinesis:GetRecords, and no permission on a key.";

/// Print an event for record-consumer with records of a stream
///
/// The event has the oldest records of the first shard that holds any, still encrypted, in the form in
/// which Lambda delivers them.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ConsumerEventArgs {
    #[command(flatten)]
    stream: StreamArgs,

    /// Maximum number of records in the event
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    records: u64,
}

/// Prints the event.
pub(crate) async fn run(args: &ConsumerEventArgs) -> Result<ExitCode, CommandError> {
    let (config, region) = args.stream.load_config().await?;
    let stream = &args.stream.stream;
    let kinesis = Arc::new(Kinesis::new(&config, stream.clone()));
    let stream_error = |failure: Failure| {
        let next_step = aws_failure::next_step(failure.cause()).map(str::to_owned);
        let error = anyhow!("cannot read stream {stream} in {region}: {failure}");
        CommandError::new(aws_failure::exit_code(&failure), error).with_next_step(next_step)
    };
    let arn = kinesis.arn().await.map_err(stream_error)?;
    let limit = usize::try_from(args.records).context("--records is too large")?;
    let records = oldest_records(&kinesis, limit).await.map_err(stream_error)?;
    if records.is_empty() {
        let error = CommandError::from(anyhow!("stream {stream} in {region} holds no record"));
        return Err(error.with_next_step("push some first".to_owned()));
    }
    let records: Vec<_> =
        records.iter().map(|(shard, record)| as_delivered(&arn, &region, shard, record)).collect();
    let event = serde_json::to_string_pretty(&json!({ "Records": records }));
    let event = event.context("cannot write the event as JSON")?;
    output::print(&format!("{event}\n")).context("cannot write to standard output")?;
    Ok(ExitCode::Complete)
}

/// Returns up to `limit` records of the first shard that holds any, each with its shard.
async fn oldest_records(
    kinesis: &Arc<Kinesis>,
    limit: usize,
) -> Result<Vec<(String, Record)>, Failure> {
    let shards = kinesis.shards(Position::TrimHorizon).await.map_err(|error| match error {
        ReadError::Failed(failure) => failure,
        ReadError::Expired => aws_outcome::Cause::ExpiredIterator.into(),
    })?;
    for shard in shards {
        let records = shard_records(kinesis.clone(), &shard.id, limit).await?;
        if !records.is_empty() {
            return Ok(records.into_iter().map(|record| (shard.id.clone(), record)).collect());
        }
    }
    Ok(Vec::new())
}

async fn shard_records(
    kinesis: Arc<Kinesis>,
    shard: &str,
    limit: usize,
) -> Result<Vec<Record>, Failure> {
    let pages = Arc::new(Semaphore::new(1));
    let mut reader = Reader::new(kinesis, shard.to_owned(), Position::TrimHorizon, pages);
    let waiting =
        |failure: &Failure| output::diagnostic(format_args!("{shard}: {failure}; retrying"));
    let mut records = Vec::new();
    loop {
        // A page can be empty although the shard holds more records.
        let (page, _permit) = reader.next(waiting).await?;
        records.extend(page.records);
        records.truncate(limit);
        if records.len() == limit || page.is_last || page.next.is_none() {
            return Ok(records);
        }
    }
}

/// Returns a record in the form in which Lambda delivers it.
///
/// Source: "Using Lambda to process records from Amazon Kinesis Data Streams", AWS Lambda developer
/// guide.
fn as_delivered(stream_arn: &str, region: &str, shard: &str, record: &Record) -> Value {
    let encryption = record.encryption.as_ref().unwrap_or(&EncryptionType::None);
    json!({
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventName": "aws:kinesis:record",
        "eventID": format!("{shard}:{}", record.sequence_number),
        "eventSourceARN": stream_arn,
        "awsRegion": region,
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/record-consumer",
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": record.sequence_number,
            "data": BASE64_STANDARD.encode(&record.data),
            "approximateArrivalTimestamp": record.arrival.map(|time| time.as_secs_f64()),
            "encryptionType": encryption.as_str(),
        },
    })
}
