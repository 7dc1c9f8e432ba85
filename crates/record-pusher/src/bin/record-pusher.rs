//! The `record-pusher` Lambda function.

use std::error::Error;
use std::time::Duration;

use aws_config::Region;
use lambda_runtime::tracing::Instrument;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use record_pusher::lambda::{OnUndelivered, PushEvent, handle};
use record_pusher::metrics::snapshot;
use record_pusher::{
    Compression, EncryptFor, Engine, RecordPusher, RecordPusherBuilder, RegionName, Suite,
};
use record_telemetry::{Deadline, FunctionMetrics, TraceContext, Variables};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

struct Settings {
    pusher: RecordPusherBuilder,
    first_region: RegionName,
    trace_attribute: Option<String>,
    on_undelivered: OnUndelivered,
}

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    record_telemetry::init_function();
    let settings = Variables::from_env().read(read_settings)?;
    // Lambda sets AWS_REGION. Elsewhere the instance metadata is not asked for one.
    let region = Region::new(settings.first_region.to_string());
    let config = aws_config::from_env().region(region).load().await;
    let pusher = settings.pusher.build(&config).await.map_err(|error| match error.setting() {
        Some(setting) => format!("{}: {error}", setting.to_uppercase()),
        None => error.to_string(),
    })?;
    let metrics = FunctionMetrics::from_env();
    let trace_attribute = settings.trace_attribute.as_deref();
    let handler = async |LambdaEvent { payload, context, .. }: LambdaEvent<PushEvent>| {
        let deadline = Deadline::from_lambda(context.deadline());
        let (event, pusher) = (traced(payload, trace_attribute, &context), pusher.clone());
        let reader = pusher.clone();
        // A task shares a thread with those of the pusher, which it waits for.
        let handled = async move { handle(&pusher, event, deadline.remaining()).await };
        let handled = tokio::spawn(handled.in_current_span());
        let response =
            metrics.run_invocation(&context.request_id, handled, || snapshot(reader.stats())).await;
        let response = response.map_err(|error| diagnostic("InvocationFailed", &error))?;
        settings.on_undelivered.apply(response).map_err(|error| diagnostic("Undelivered", &error))
    };
    lambda_runtime::run(service_fn(handler)).await
}

fn diagnostic(error_type: &str, error: &dyn Error) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message: error.to_string() }
}

fn read_settings(variables: &mut Variables) -> Option<Settings> {
    let regions: Option<Vec<RegionName>> =
        variables.required_list("REGIONS", "Regions to push to, separated by commas");
    let kms_key = variables.required("KMS_KEY", "KMS key that every Region has");
    let stream = variables.required("STREAM", "name of the stream in every Region");
    let suite = variables.or("SUITE", "algorithm suite: signed or unsigned", Suite::default());
    let encrypt_for = variables.or(
        "ENCRYPT_FOR",
        "Regions that must be able to decrypt a record: all or available",
        EncryptFor::default(),
    );
    let engine =
        variables.or("ENGINE", "encoder of messages: native or aws-esdk", Engine::default());
    let partition_key_field: Option<String> =
        variables.optional("PARTITION_KEY_FIELD", "top-level field with the partition key");
    let require_key =
        variables.optional("REQUIRE_KEY", "key of the table that records must fit, such as id:S");
    let aggregate_bytes =
        variables.integer("AGGREGATE_BYTES", "bytes of JSON in one message", 0..=1_000_000, 0);
    let compression = variables.or(
        "COMPRESSION",
        "compression of messages: none or zstd",
        Compression::default(),
    );
    let compression_level =
        variables.integer("COMPRESSION_LEVEL", "level of the compression", 1..=19, 1);
    let linger = variables.millis(
        "LINGER_MS",
        "milliseconds that a record waits for others",
        0..=60_000,
        Duration::from_millis(5),
    );
    let delivery_timeout = variables.seconds(
        "DELIVERY_TIMEOUT_SECONDS",
        "seconds that a record may wait for its acknowledgement",
        1..=86_400,
        Duration::from_secs(30),
    );
    let cache_capacity =
        variables.integer("CACHE_CAPACITY", "data keys in the cache", 0..=1_000_000, 100);
    let cache_max_age = variables.seconds(
        "CACHE_MAX_AGE_SECONDS",
        "seconds that a data key is used",
        1..=31_536_000,
        Duration::from_secs(300),
    );
    let cache_max_messages = variables.integer(
        "CACHE_MAX_MESSAGES",
        "messages that a data key encrypts",
        1..=1 << 32,
        100,
    );
    let trace_attribute =
        variables.optional("TRACE_ATTRIBUTE", "attribute that carries the trace context");
    let on_undelivered = variables.or(
        "ON_UNDELIVERED",
        "what an invocation does about undelivered records: fail or report",
        OnUndelivered::default(),
    );
    let regions = regions?;
    let first_region = regions.first()?.clone();
    let mut pusher = RecordPusher::builder(stream?, kms_key?, regions)
        .suite(suite)
        .encrypt_for(encrypt_for)
        .engine(engine)
        .aggregate_bytes(aggregate_bytes)
        .compression(compression)
        .compression_level(compression_level)
        .linger(linger)
        .delivery_timeout(delivery_timeout)
        .cache_capacity(cache_capacity)
        .cache_max_age(cache_max_age)
        .cache_max_messages(cache_max_messages);
    if let Some(field) = partition_key_field {
        pusher = pusher.partition_key_field(field);
    }
    if let Some(key) = require_key {
        pusher = pusher.require_key(key);
    }
    Some(Settings { pusher, first_region, trace_attribute, on_undelivered })
}

/// Adds the invocation's trace context to the records, if that is set and there is one.
fn traced(event: PushEvent, attribute: Option<&str>, context: &Context) -> PushEvent {
    let header = context.xray_trace_id.as_deref();
    match (attribute, header.and_then(TraceContext::from_xray)) {
        (Some(attribute), Some(trace)) => event.or_insert(attribute, &trace.to_string()),
        _ => event,
    }
}
