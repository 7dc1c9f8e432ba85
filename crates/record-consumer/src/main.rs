//! The `record-consumer` Lambda function.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lambda_events::event::kinesis::KinesisEvent;
use clap::Parser;
use lambda_runtime::tracing::Instrument;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use record_consumer::{Consumer, ConsumerSettings, ConsumerStats};
use record_telemetry::{FunctionMetrics, Metric, Snapshot};
use tikv_jemallocator::Jemalloc;
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Lambda function that decrypts the records of a Kinesis stream and writes them to DynamoDB.
/// Lambda runs it without arguments and sets it by environment variables.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    settings: ConsumerSettings,
}

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    record_telemetry::init_function();
    let args = Args::parse();
    let config = aws_config::load_from_env().await;
    let consumer = Arc::new(Consumer::new(&args.settings, &config).await?);
    let metrics = FunctionMetrics::from_env();
    let handler = async |LambdaEvent { payload, context, .. }: LambdaEvent<KinesisEvent>| {
        let (consumer, deadline) = (consumer.clone(), deadline(&context));
        let reader = consumer.clone();
        // A task shares a thread with those of the connections, which it waits for.
        let handled = async move { consumer.handle(payload, deadline).await };
        let handled = tokio::spawn(handled.in_current_span());
        let response =
            metrics.run_invocation(&context.request_id, handled, || snapshot(reader.stats())).await;
        Ok::<_, lambda_runtime::Error>(response?)
    };
    lambda_runtime::run(service_fn(handler)).await
}

fn snapshot(stats: ConsumerStats) -> Snapshot {
    Snapshot::default()
        .cipher(stats.cipher)
        .total(Metric::RecordsIn, stats.records)
        .total(Metric::BytesIn, stats.bytes)
        .total(Metric::ItemsWritten, stats.items_written)
        .total(Metric::RecordsFailed, stats.failed)
        .total(Metric::RecordsQuarantined, stats.quarantined)
}

fn deadline(context: &Context) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "Lambda gives the deadline in wall-clock time")]
    let now = SystemTime::now();
    Instant::now() + context.deadline().duration_since(now).unwrap_or_default()
}
