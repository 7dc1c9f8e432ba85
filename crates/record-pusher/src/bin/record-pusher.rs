//! The `record-pusher` Lambda function.

use clap::Parser;
use lambda_runtime::{LambdaEvent, service_fn};
use record_pusher::lambda::{PushEvent, handle};
use record_pusher::{PusherSettings, RecordPusher};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Lambda function that encrypts the records of its event and puts them to a Kinesis stream in
/// every Region. Lambda runs it without arguments and sets it by environment variables.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    settings: PusherSettings,
}

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::init_function();
    let args = Args::parse();
    let config = aws_config::load_from_env().await;
    let pusher = RecordPusher::new(&args.settings, &config).await?;
    let handler = |event: LambdaEvent<PushEvent>| {
        let pusher = pusher.clone();
        // A task shares a thread with those of the pusher, which it waits for.
        let handled = tokio::spawn(async move { handle(&pusher, event.payload).await });
        async { Ok::<_, lambda_runtime::Error>(handled.await?) }
    };
    lambda_runtime::run(service_fn(handler)).await
}
