//! The traces that the records of a batch belong to.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::event::kinesis::KinesisEventRecord;
use lambda_runtime::tracing;
use record_telemetry::TraceContext;

use crate::schema::Entry;

/// Logs each trace with the sequence numbers of its records. What is not exactly a traceparent is
/// ignored, so that nothing else of a record can get into the log.
pub(crate) fn log_traces(
    attribute: &str,
    records: &[KinesisEventRecord],
    entries: &[(usize, Entry)],
) {
    let mut traces = BTreeMap::<_, BTreeSet<usize>>::new();
    for (at, entry) in entries {
        let text = entry.item.get(attribute).and_then(|value| value.as_s().ok());
        if let Some(context) = text.and_then(|text| text.parse::<TraceContext>().ok()) {
            let ids = (context.trace_id(), context.xray_trace_id());
            traces.entry(ids).or_default().insert(*at);
        }
    }
    for ((trace_id, xray_trace_id), of_trace) in traces {
        let numbers = of_trace.iter().map(|at| records[*at].kinesis.sequence_number.as_str());
        let sequence_numbers = numbers.collect::<Vec<_>>().join(",");
        tracing::info!(trace_id, xray_trace_id, sequence_numbers, "trace");
    }
}
