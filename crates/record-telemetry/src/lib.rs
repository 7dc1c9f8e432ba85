#![doc = include_str!("../README.md")]

mod emf;
mod function;
mod metric;
mod reading;
mod trace;

use std::env;
use std::io::{IsTerminal, stderr, stdout};

use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

pub use emf::Metrics;
pub use function::FunctionMetrics;
pub use metric::Metric;
pub use reading::Reading;
pub use trace::{InvalidTraceContext, TraceContext};

/// The crates whose logs hold nothing of a record at any level, which the tests named
/// `no_secrets` show.
const OWN_CRATES: [&str; 7] = [
    "esdk_caching_cmm",
    "esdk_message",
    "sealstream",
    "record_cipher",
    "record_consumer",
    "record_pusher",
    "record_telemetry",
];

/// The most that all other crates log.
const MOST_OF_OTHERS: LevelFilter = LevelFilter::INFO;

/// Starts the logs of a Lambda function. They are those of `lambda_runtime`'s default subscriber,
/// but for the cap.
///
/// # Panics
/// If the process has logs already.
pub fn init_function() {
    let levels = env::var("AWS_LAMBDA_LOG_LEVEL").or_else(|_| env::var("RUST_LOG"));
    let levels = filter(&levels.unwrap_or_default(), LevelFilter::INFO);
    let levels = levels.or(filter_fn(names_invocation));
    let text = fmt::layer().with_target(false).without_time().with_ansi(false).with_writer(stdout);
    let format = env::var("AWS_LAMBDA_LOG_FORMAT").unwrap_or_default();
    let layer = match format.eq_ignore_ascii_case("json") {
        true => text.json().with_filter(levels).boxed(),
        false => text.with_filter(levels).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
}

/// Starts the logs of a command line program.
///
/// # Panics
/// If the process has logs already.
pub fn init_program() {
    let levels = filter(&env::var("RUST_LOG").unwrap_or_default(), LevelFilter::ERROR);
    let layer = fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr);
    tracing_subscriber::registry().with(layer.with_filter(levels)).init();
}

/// What is logged: what `directives` ask for, or `default` if they are empty, but of other crates
/// than sealstream's own never more than [`LevelFilter::INFO`]. A directive that cannot be read is
/// reported on standard error and ignored.
///
/// For a program with a subscriber of its own.
pub fn filter<S>(directives: &str, default: LevelFilter) -> impl Filter<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let levels = EnvFilter::builder().with_default_directive(default.into());
    levels.parse_lossy(directives).and(filter_fn(may_be_logged))
}

/// Whether this is the span of an invocation, which has the request id, and is wanted whatever the level
/// of the logs in it.
fn names_invocation(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && *metadata.level() <= MOST_OF_OTHERS
        && metadata.target().starts_with("lambda_runtime::")
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= MOST_OF_OTHERS || OWN_CRATES.contains(&name)
}
