//! The values of a program's metrics at one moment.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::time::Duration;

#[cfg(feature = "record-cipher")]
use record_cipher::CipherStats;
use serde_json::{Value as Json, json};

use crate::metric::Metric;

/// The values of a program's metrics, counted since its start.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By Region; `None` for metrics of the whole service.
    pub(crate) values: BTreeMap<Option<String>, BTreeMap<Metric, Measured>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Measured {
    Total(u64),
    /// Number of calls by duration.
    Latencies(BTreeMap<Duration, u64>),
    /// Duration of one invocation.
    Latency(Duration),
}

impl Snapshot {
    /// Adds the total of a metric of the whole service.
    #[must_use]
    pub fn total(self, metric: Metric, total: u64) -> Self {
        self.with(None, metric, Measured::Total(total))
    }

    /// Adds the total of a metric in a Region.
    #[must_use]
    pub fn total_in(self, region: &str, metric: Metric, total: u64) -> Self {
        self.with(Some(region), metric, Measured::Total(total))
    }

    /// Adds the number of calls in a Region by their duration.
    #[must_use]
    pub fn latencies_in(
        self,
        region: &str,
        metric: Metric,
        latencies: BTreeMap<Duration, u64>,
    ) -> Self {
        self.with(Some(region), metric, Measured::Latencies(latencies))
    }

    /// Adds the metrics of a cipher.
    #[cfg(feature = "record-cipher")]
    #[must_use]
    pub fn cipher(self, stats: CipherStats) -> Self {
        let snapshot = self
            .total(Metric::DataKeyCacheHits, stats.data_keys.hits)
            .total(Metric::DataKeyCacheMisses, stats.data_keys.calls)
            .total(Metric::DataKeyCacheEvictions, stats.cache.evicted_capacity);
        stats.kms.into_iter().fold(snapshot, |snapshot, (region, kms)| {
            let region = region.as_str();
            snapshot
                .total_in(region, Metric::KmsCalls, kms.calls)
                .total_in(region, Metric::KmsErrors, kms.errors)
                .latencies_in(region, Metric::KmsLatency, kms.latencies)
        })
    }

    /// Adds a duration that is written as it is, not as a difference.
    pub(crate) fn latency(self, metric: Metric, latency: Duration) -> Self {
        self.with(None, metric, Measured::Latency(latency))
    }

    fn with(mut self, region: Option<&str>, metric: Metric, value: Measured) -> Self {
        debug_assert_eq!(metric.is_regional(), region.is_some(), "{metric:?}");
        self.values.entry(region.map(str::to_owned)).or_default().insert(metric, value);
        self
    }

    /// Returns the differences to an earlier snapshot.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (region, values) in &mut self.values {
            for (metric, value) in values {
                let earlier = earlier.values.get(region).and_then(|values| values.get(metric));
                earlier.into_iter().for_each(|earlier| value.subtract(earlier));
            }
        }
        self
    }
}

impl Measured {
    fn subtract(&mut self, earlier: &Self) {
        match (self, earlier) {
            (Self::Total(now), Self::Total(then)) => *now = now.saturating_sub(*then),
            (Self::Latencies(now), Self::Latencies(then)) => {
                for (latency, count) in now {
                    *count = count.saturating_sub(then.get(latency).copied().unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Total(total) => *total == 0,
            Self::Latencies(latencies) => latencies.values().all(|count| *count == 0),
            Self::Latency(_) => false,
        }
    }

    /// Returns the value as CloudWatch reads it: a number, or lists of at most `longest` numbers.
    /// Returns no list if nothing was measured.
    pub(crate) fn to_json(&self, longest: usize) -> Vec<Json> {
        match self {
            Self::Total(total) => vec![json!(total)],
            Self::Latencies(latencies) => {
                let repeated = |(latency, count): (&Duration, &u64)| {
                    repeat_n(millis(*latency), usize::try_from(*count).unwrap_or(usize::MAX))
                };
                let values: Vec<_> = latencies.iter().flat_map(repeated).collect();
                values.chunks(longest).map(|values| json!(values)).collect()
            }
            Self::Latency(latency) => vec![json!([millis(*latency)])],
        }
    }
}

fn millis(latency: Duration) -> f64 {
    latency.as_micros() as f64 / 1000.0
}
