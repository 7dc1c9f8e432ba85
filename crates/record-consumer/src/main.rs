//! The `record-consumer` Lambda function.

mod settings;

use std::sync::Arc;

use lambda_runtime::tracing::Instrument;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use record_consumer::{ConsumerStats, Event};
use record_telemetry::{Deadline, FunctionMetrics, Metric, Snapshot, Variables};
use tikv_jemallocator::Jemalloc;

use settings::Settings;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> Result<(), Error> {
    record_telemetry::init_function();
    let settings = Variables::from_env().read(Settings::read)?;
    let config = aws_config::load_from_env().await;
    let consumer = Arc::new(settings.consumer(&config).await?);
    let metrics = FunctionMetrics::from_env();
    let handler = async |LambdaEvent { payload, context, .. }: LambdaEvent<Event>| {
        let (consumer, deadline) = (consumer.clone(), Deadline::from_lambda(context.deadline()));
        let counted = consumer.clone();
        // A task shares a thread with those of the connections, which it waits for.
        let handled = async move { consumer.handle(payload, deadline).await };
        let handled = tokio::spawn(handled.in_current_span());
        let response = metrics
            .run_invocation(&context.request_id, handled, || snapshot(counted.stats()))
            .await;
        Ok::<_, Error>(response?)
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
        .total(Metric::BatchesStalled, stats.stalled_batches)
}
