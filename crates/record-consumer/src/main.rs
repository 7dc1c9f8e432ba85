//! The `record-consumer` Lambda function.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lambda_events::event::kinesis::KinesisEvent;
use clap::Parser;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use record_consumer::{Consumer, ConsumerSettings};
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
    telemetry::init_function();
    let args = Args::parse();
    let config = aws_config::load_from_env().await;
    let consumer = Arc::new(Consumer::new(&args.settings, &config).await?);
    let handler = |LambdaEvent { payload, context, .. }: LambdaEvent<KinesisEvent>| {
        let consumer = consumer.clone();
        // A task shares a thread with those of the connections, which it waits for.
        let handled =
            tokio::spawn(async move { consumer.handle(payload, deadline(&context)).await });
        async { Ok::<_, lambda_runtime::Error>(handled.await?) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

fn deadline(context: &Context) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "Lambda gives the deadline in wall-clock time")]
    let now = SystemTime::now();
    Instant::now() + context.deadline().duration_since(now).unwrap_or_default()
}
