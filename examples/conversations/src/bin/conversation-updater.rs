//! The `conversation-updater` Lambda function.

use std::time::SystemTime;

use aws_lambda_events::event::dynamodb::Event;
use clap::Parser;
use conversations::Updater;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use tokio::time::Instant;

/// Lambda function that follows the stream of the table of conversations and keeps the last message
/// of each on top. Lambda runs it without arguments and sets it by environment variables.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The table
    #[arg(long, env)]
    table_name: String,
}

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    record_telemetry::init_function();
    let args = Args::parse();
    let config = aws_config::load_from_env().await;
    let updater = Updater::new(&config, &args.table_name);
    let handler = |LambdaEvent { payload, context, .. }: LambdaEvent<Event>| {
        let handled = updater.handle(payload, deadline(&context));
        async { Ok::<_, lambda_runtime::Error>(handled.await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

fn deadline(context: &Context) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "Lambda gives the deadline in wall-clock time")]
    let now = SystemTime::now();
    Instant::now() + context.deadline().duration_since(now).unwrap_or_default()
}
