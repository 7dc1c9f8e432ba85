//! The CloudWatch embedded metric format: log lines that CloudWatch makes metrics of.
//!
//! Source: "Specification: Embedded metric format", Amazon CloudWatch user guide. A line names at most
//! 100 metrics; there are fewer. A metric has at most 100 values in a line; more go on in the next one.

use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value as Json, json};

use crate::metric::Metric;
use crate::reading::{Measured, Reading};

/// Where CloudWatch has the metrics.
const NAMESPACE: &str = "Sealstream";
/// Values of one metric in one line.
const MAX_VALUES: usize = 100;

/// The metrics of a program, of which each time that is written which has come since the last time.
#[derive(Debug)]
pub struct Metrics {
    service: String,
    last: Reading,
}

impl Metrics {
    /// Those of a service: every metric has its name as a dimension.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), last: Reading::default() }
    }

    /// Writes what has come since the last time, in one go: a line for the service and one for each
    /// Region, but none where nothing has happened. `request_id` goes into every line, for queries of
    /// the log.
    ///
    /// # Errors
    /// Those of the writer. What is not written is not written later either.
    pub fn write(
        &mut self,
        reading: Reading,
        request_id: Option<&str>,
        mut to: impl Write,
    ) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "metrics have the time of day")]
        let now = SystemTime::now();
        to.write_all(self.lines(reading, request_id, now).as_bytes())?;
        to.flush()
    }

    fn lines(&mut self, reading: Reading, request_id: Option<&str>, now: SystemTime) -> String {
        let mut lines = String::new();
        let Reading { values } = reading.clone().since(&self.last);
        for (region, values) in values {
            // Those that are zero are written with the others: a share can then be had of the two.
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
        self.last = reading;
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
            line.insert(metric.name(), value);
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

    use record_cipher::{CipherStats, KmsStats};

    use super::*;

    fn lines(metrics: &mut Metrics, reading: Reading) -> Vec<Json> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let lines = metrics.lines(reading, None, now);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_what_the_specification_asks_for() {
        let mut metrics = Metrics::new("function");
        let reading = Reading::default()
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
            lines(&mut metrics, reading),
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
    fn what_was_written_is_not_written_again() {
        let mut metrics = Metrics::new("function");
        let reading = |records| {
            Reading::default().total(Metric::RecordsIn, records).total_in(
                "eu-west-1",
                Metric::KmsCalls,
                1,
            )
        };
        assert_eq!(lines(&mut metrics, reading(3)).len(), 2);
        let more = lines(&mut metrics, reading(5));
        assert_eq!((more.len(), &more[0]["RecordsIn"]), (1, &json!(2)));
        assert_eq!(lines(&mut metrics, reading(5)), [] as [Json; 0]);
    }

    #[test]
    fn more_than_a_hundred_latencies_go_on_in_further_lines() {
        let mut metrics = Metrics::new("function");
        let reading = |latencies: [(u64, u64); 2]| {
            let mut kms = KmsStats::default();
            kms.latencies = latencies.map(|(ms, n)| (Duration::from_micros(ms), n)).into();
            kms.calls = kms.latencies.values().sum();
            let mut stats = CipherStats::default();
            stats.kms = BTreeMap::from([("eu-west-1".parse().unwrap(), kms)]);
            Reading::default().cipher(stats)
        };
        let first = lines(&mut metrics, reading([(1_500, 150), (20_000, 70)]));
        let values = |line: &Json| line["KmsLatency"].as_array().unwrap().clone();
        assert_eq!(first.iter().map(|line| values(line).len()).collect::<Vec<_>>(), [100, 100, 20]);
        assert_eq!(first.iter().flat_map(values).filter(|value| *value == json!(1.5)).count(), 150);
        let calls: Vec<_> = first.iter().map(|line| line["KmsCalls"].as_u64()).collect();
        assert_eq!(calls, [Some(220), None, None]);

        let second = lines(&mut metrics, reading([(1_500, 151), (20_000, 72)]));
        assert_eq!(second[0]["KmsLatency"], json!([1.5, 20.0, 20.0]));
    }
}
