//! The `record-pusher` Lambda function.

use clap::Parser;
use lambda_runtime::tracing::Instrument;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use record_pusher::lambda::{PushEvent, handle};
use record_pusher::metrics::snapshot;
use record_pusher::{PusherSettings, RecordPusher, TraceSettings};
use record_telemetry::{FunctionMetrics, TraceContext};
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

    #[command(flatten)]
    trace: TraceSettings,
}

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    record_telemetry::init_function();
    let args = Args::parse();
    let config = aws_config::load_from_env().await;
    let pusher = RecordPusher::new(&args.settings, &config).await?;
    let metrics = FunctionMetrics::from_env();
    let handler = async |LambdaEvent { payload, context, .. }: LambdaEvent<PushEvent>| {
        let (event, pusher) = (traced(payload, &args.trace, &context), pusher.clone());
        let reader = pusher.clone();
        // A task shares a thread with those of the pusher, which it waits for.
        let handled = async move { handle(&pusher, event).await };
        let handled = tokio::spawn(handled.in_current_span());
        let response =
            metrics.run_invocation(&context.request_id, handled, || snapshot(reader.stats())).await;
        Ok::<_, lambda_runtime::Error>(response?)
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// The event with the invocation's trace context in its records, if that is wanted and there is one.
fn traced(event: PushEvent, settings: &TraceSettings, context: &Context) -> PushEvent {
    let header = context.xray_trace_id.as_deref();
    match (settings.attribute(), header.and_then(TraceContext::from_xray)) {
        (Some(attribute), Some(trace)) => event.or_insert(attribute, &trace.to_string()),
        _ => event,
    }
}
