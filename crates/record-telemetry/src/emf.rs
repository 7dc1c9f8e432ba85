//! CloudWatch's embedded metric format: log lines from which CloudWatch extracts metrics.
//!
//! Source: "Specification: Embedded metric format", Amazon CloudWatch user guide. It allows 100 metrics
//! in a line, more than this crate has, and 100 values of a metric. Further values are in further lines.

use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value as Json, json};

use crate::metric::Metric;
use crate::snapshot::{Measured, Snapshot};

/// Namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "Sealstream";
/// Maximum values of a metric in a line.
const MAX_VALUES: usize = 100;

/// Writes a program's metrics. Each write covers the time since the previous one.
#[derive(Debug)]
pub struct Metrics {
    service: String,
    last: Snapshot,
}

impl Metrics {
    /// Creates the metrics of a service, whose name is a dimension of each metric.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), last: Snapshot::default() }
    }

    /// Writes the changes since the previous snapshot with a single call of the writer: a line for the
    /// service and one for each Region, except where nothing has changed. Each line carries
    /// `request_id`, for queries of the log.
    ///
    /// # Errors
    /// Errors of the writer. Metrics that could not be written are not written later.
    pub fn write(
        &mut self,
        snapshot: Snapshot,
        request_id: Option<&str>,
        mut to: impl Write,
    ) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "CloudWatch needs the time of day")]
        let now = SystemTime::now();
        to.write_all(self.lines(snapshot, request_id, now).as_bytes())?;
        to.flush()
    }

    fn lines(&mut self, snapshot: Snapshot, request_id: Option<&str>, now: SystemTime) -> String {
        let mut lines = String::new();
        let Snapshot { values } = snapshot.clone().since(&self.last);
        for (region, values) in values {
            // Zeros are written beside other values, so that CloudWatch can compute shares.
            if values.values().all(Measured::is_zero) {
                continue;
            }
            let mut parts: Vec<Vec<(Metric, Json)>> = Vec::new();
            for (metric, value) in values {
                for (at, json) in value.to_json(MAX_VALUES).into_iter().enumerate() {
                    parts.resize_with(parts.len().max(at + 1), Vec::new);
                    parts[at].push((metric, json));
                }
            }
            for part in parts {
                let mut line = self.line(region.as_deref(), part, now);
                line.extend(request_id.map(|id| ("requestId".to_owned(), json!(id))));
                lines += &format!("{}\n", Json::Object(line));
            }
        }
        self.last = snapshot;
        lines
    }

    fn line(
        &self,
        region: Option<&str>,
        values: Vec<(Metric, Json)>,
        now: SystemTime,
    ) -> Map<String, Json> {
        let mut line = Map::from_iter([("Service".to_owned(), json!(self.service))]);
        let mut dimensions = vec!["Service"];
        if let Some(region) = region {
            line.insert("Region".to_owned(), json!(region));
            dimensions.push("Region");
        }
        let mut metrics = Vec::new();
        for (metric, value) in values {
            metrics.push(json!({ "Name": metric.name(), "Unit": metric.unit() }));
            line.insert(metric.name().to_owned(), value);
        }
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let about = json!({
            "Timestamp": u64::try_from(since_1970.as_millis()).unwrap_or_default(),
            "CloudWatchMetrics": [
                { "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics },
            ],
        });
        line.insert("_aws".to_owned(), about);
        line
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn lines(metrics: &mut Metrics, snapshot: Snapshot) -> Vec<Json> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let lines = metrics.lines(snapshot, None, now);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn lines_follow_the_specification() {
        let mut metrics = Metrics::new("function");
        let snapshot = Snapshot::default()
            .total(Metric::RecordsIn, 100)
            .total(Metric::RecordsRefused, 0)
            .total_in("eu-west-1", Metric::BytesDelivered, 5);
        let metric = |name, unit| json!({ "Name": name, "Unit": unit });
        let counts = [metric("RecordsIn", "Count"), metric("RecordsRefused", "Count")];
        let about = |dimensions: Json, metrics: Json| {
            let directive = json!({ "Namespace": "Sealstream", "Dimensions": [dimensions], "Metrics": metrics });
            json!({ "Timestamp": 1_700_000_000_123_u64, "CloudWatchMetrics": [directive] })
        };
        assert_eq!(
            lines(&mut metrics, snapshot),
            [
                json!({
                    "_aws": about(json!(["Service"]), json!(counts)),
                    "Service": "function",
                    "RecordsIn": 100,
                    "RecordsRefused": 0,
                }),
                json!({
                    "_aws": about(
                        json!(["Service", "Region"]),
                        json!([metric("BytesDelivered", "Bytes")]),
                    ),
                    "Service": "function",
                    "Region": "eu-west-1",
                    "BytesDelivered": 5,
                }),
            ]
        );
    }

    #[test]
    fn each_change_is_written_once() {
        let mut metrics = Metrics::new("function");
        let snapshot = |records| {
            Snapshot::default().total(Metric::RecordsIn, records).total_in(
                "eu-west-1",
                Metric::KmsCalls,
                1,
            )
        };
        assert_eq!(lines(&mut metrics, snapshot(3)).len(), 2);
        let more = lines(&mut metrics, snapshot(5));
        assert_eq!((more.len(), &more[0]["RecordsIn"]), (1, &json!(2)));
        assert_eq!(lines(&mut metrics, snapshot(5)), [] as [Json; 0]);
    }

    #[test]
    fn further_lines_hold_more_than_a_hundred_latencies() {
        let mut metrics = Metrics::new("function");
        let snapshot = |latencies: [(u64, u64); 2]| {
            let latencies = BTreeMap::from(latencies.map(|(us, n)| (Duration::from_micros(us), n)));
            let calls = latencies.values().sum();
            Snapshot::default().total_in("eu-west-1", Metric::KmsCalls, calls).latencies_in(
                "eu-west-1",
                Metric::KmsLatency,
                latencies,
            )
        };
        let first = lines(&mut metrics, snapshot([(1_500, 150), (20_000, 70)]));
        let values = |line: &Json| line["KmsLatency"].as_array().unwrap().clone();
        assert_eq!(first.iter().map(|line| values(line).len()).collect::<Vec<_>>(), [100, 100, 20]);
        assert_eq!(first.iter().flat_map(values).filter(|value| *value == json!(1.5)).count(), 150);
        let calls: Vec<_> = first.iter().map(|line| line["KmsCalls"].as_u64()).collect();
        assert_eq!(calls, [Some(220), None, None]);

        let second = lines(&mut metrics, snapshot([(1_500, 151), (20_000, 72)]));
        assert_eq!(second[0]["KmsLatency"], json!([1.5, 20.0, 20.0]));
    }
}
