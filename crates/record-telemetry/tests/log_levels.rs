//! Which events pass the filter.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// The text that is logged with these directives, and `ERROR` as the default.
fn logged(directives: &str, log: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let filter = record_telemetry::filter(directives, LevelFilter::ERROR);
    let layer = fmt::layer().with_writer(move || writer.clone()).with_filter(filter);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn own_crates_log_at_the_requested_level() {
    let log = || {
        tracing::trace!(target: "record_pusher::batcher", "shown");
        tracing::debug!(target: "sealstream::push", "too");
    };
    let text = logged("trace", log);
    assert!(text.contains("shown") && text.contains("too"), "{text}");
    assert_eq!(logged("", log), "");
}

#[test]
fn invalid_directives_leave_the_default_level() {
    for directives in ["sealstream=loud", "trace,=", "sealstream[=debug"] {
        let text = logged(directives, || {
            tracing::info!(target: "sealstream", "marker");
            tracing::error!(target: "sealstream", "shown");
        });
        assert!(text.contains("shown") && !text.contains("marker"), "{directives}: {text}");
    }
}

#[test]
fn other_crates_log_at_most_info() {
    for directives in ["trace", "aws_smithy_runtime=trace,hyper=debug", "record_pusherx=trace"] {
        let text = logged(directives, || {
            tracing::trace!(target: "aws_smithy_runtime::client", "marker");
            tracing::debug!(target: "hyper", "marker");
            tracing::debug!(target: "record_pusherx", "marker");
            let _span = tracing::debug_span!(target: "hyper", "span", field = "marker").entered();
            tracing::error!(target: "hyper", "shown");
        });
        assert!(!text.contains("marker"), "{directives}: {text}");
    }
    let text = logged("info", || tracing::info!(target: "aws_config", "shown"));
    assert!(text.contains("shown"), "{text}");
}
