//! Logs the traces that the records of a batch belong to.

use std::collections::{BTreeMap, BTreeSet};

use lambda_runtime::tracing;
use record_telemetry::TraceContext;

use crate::event::EventRecord;
use crate::schema::Entry;

/// Logs each trace with the sequence numbers of its records. Ignores text that is not exactly a
/// traceparent, so that nothing else of a record can get into the log.
pub(crate) fn log_traces(attribute: &str, records: &[EventRecord], entries: &[(usize, Entry)]) {
    let mut traces = BTreeMap::<_, BTreeSet<usize>>::new();
    for (at, entry) in entries {
        let text = entry.item.get(attribute).and_then(|value| value.as_s().ok());
        if let Some(context) = text.and_then(|text| text.parse::<TraceContext>().ok()) {
            let ids = (context.trace_id(), context.xray_trace_id());
            traces.entry(ids).or_default().insert(*at);
        }
    }
    for ((trace_id, xray_trace_id), records_of_trace) in traces {
        let numbers = records_of_trace.iter().map(|at| records[*at].sequence_number.as_str());
        let sequence_numbers = numbers.collect::<Vec<_>>().join(",");
        tracing::info!(trace_id, xray_trace_id, sequence_numbers, "trace");
    }
}
