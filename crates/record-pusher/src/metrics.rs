//! The metrics of the programs. Other users of the library have [`PusherStats`].

use record_telemetry::{Metric, Reading};

use crate::{PusherStats, RegionName, RegionStats};

/// All metrics of a pusher.
#[must_use]
pub fn reading(stats: PusherStats) -> Reading {
    let reading = Reading::default()
        .cipher(stats.cipher)
        .total(Metric::RecordsIn, stats.records)
        .total(Metric::BytesIn, stats.bytes)
        .total(Metric::RecordsRefused, stats.refused);
    stats.regions.iter().fold(reading, with_region)
}

fn with_region(reading: Reading, (region, stats): (&RegionName, &RegionStats)) -> Reading {
    let region = region.as_str();
    reading
        .total_in(region, Metric::MessagesDelivered, stats.delivered)
        .total_in(region, Metric::BytesDelivered, stats.delivered_bytes)
        .total_in(region, Metric::MessagesUndelivered, stats.undelivered)
        .total_in(region, Metric::PutRecordsRequests, stats.requests)
        .total_in(region, Metric::FailedTries, stats.failed_tries)
        .total_in(region, Metric::ThrottledTries, stats.throttled_tries)
}
