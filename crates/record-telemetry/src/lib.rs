#![doc = include_str!("../README.md")]

mod emf;
mod invocation;
mod metric;
mod snapshot;
mod trace;
mod variables;

use std::env;
use std::io::{IsTerminal, Write, stderr, stdout};

use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

pub use emf::Metrics;
pub use invocation::{Deadline, FunctionMetrics};
pub use metric::Metric;
pub use snapshot::Snapshot;
pub use trace::{InvalidTraceContext, TraceContext};
pub use variables::{InvalidVariables, Variable, Variables};

/// The crates whose logs never show anything of a record, at any level. The tests named `no_secrets`
/// prove it.
const OWN_CRATES: [&str; 8] = [
    "aws_outcome",
    "esdk_caching_cmm",
    "esdk_message",
    "sealstream",
    "record_cipher",
    "record_consumer",
    "record_pusher",
    "record_telemetry",
];

/// The most detailed level of all other crates.
const MAX_LEVEL_OF_OTHERS: LevelFilter = LevelFilter::INFO;

/// Initializes the logs of a Lambda function: those of `lambda_runtime`'s default subscriber, with
/// the level of other crates capped.
///
/// # Panics
/// If the process has a tracing subscriber already.
pub fn init_function() {
    let levels = env::var("AWS_LAMBDA_LOG_LEVEL").or_else(|_| env::var("RUST_LOG"));
    let levels = filter(&levels.unwrap_or_default(), LevelFilter::INFO);
    let levels = levels.or(filter_fn(is_invocation_span));
    let text = fmt::layer().with_target(false).with_ansi(false).with_writer(stdout);
    // As below.
    let text = text.log_internal_errors(false);
    let format = env::var("AWS_LAMBDA_LOG_FORMAT").unwrap_or_default();
    let layer = match format.eq_ignore_ascii_case("json") {
        // Lambda takes a JSON line without a timestamp for one of level INFO.
        true => text.json().with_filter(levels).boxed(),
        false => text.without_time().with_filter(levels).boxed(),
    };
    tracing_subscriber::registry().with(layer).init();
}

/// Initializes the logs of a command line program.
///
/// # Panics
/// If the process has a tracing subscriber already.
pub fn init_program() {
    let levels = filter(&env::var("RUST_LOG").unwrap_or_default(), LevelFilter::ERROR);
    let layer = fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr);
    // Reporting a failed write would panic when standard error is closed.
    let layer = layer.log_internal_errors(false);
    tracing_subscriber::registry().with(layer.with_filter(levels)).init();
}

/// Returns the filter of the logs, for a program with a subscriber of its own. It passes the levels
/// that `directives` name, or `default` if they are empty. Crates other than sealstream's own never
/// pass more than [`LevelFilter::INFO`]. If a directive is invalid, that is reported on standard
/// error, and `default` applies.
pub fn filter<S>(directives: &str, default: LevelFilter) -> impl Filter<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let builder = EnvFilter::builder().with_default_directive(default.into());
    let levels = builder.parse(directives).unwrap_or_else(|error| {
        // Lost if standard error is closed; `eprintln!` would panic.
        let _ = writeln!(stderr(), "invalid log level {directives:?}: {error}");
        EnvFilter::default().add_directive(default.into())
    });
    levels.and(filter_fn(is_allowed))
}

/// Returns `true` for the span of an invocation. It carries the request id, so it passes at any level.
fn is_invocation_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && *metadata.level() <= MAX_LEVEL_OF_OTHERS
        && metadata.target().starts_with("lambda_runtime::")
}

fn is_allowed(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= MAX_LEVEL_OF_OTHERS || OWN_CRATES.contains(&name)
}
