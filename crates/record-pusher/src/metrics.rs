//! The metrics of the programs. Other users of the library have [`PusherStats`].

use record_telemetry::{Metric, Snapshot};

use crate::{PusherStats, RegionName, RegionStats};

/// All metrics of a pusher.
#[must_use]
pub fn snapshot(stats: PusherStats) -> Snapshot {
    let snapshot = Snapshot::default()
        .cipher(stats.cipher)
        .total(Metric::RecordsIn, stats.records)
        .total(Metric::BytesIn, stats.bytes)
        .total(Metric::RecordsRefused, stats.refused);
    stats.regions.iter().fold(snapshot, with_region)
}

fn with_region(snapshot: Snapshot, (region, stats): (&RegionName, &RegionStats)) -> Snapshot {
    let region = region.as_str();
    snapshot
        .total_in(region, Metric::MessagesDelivered, stats.delivered)
        .total_in(region, Metric::BytesDelivered, stats.delivered_bytes)
        .total_in(region, Metric::MessagesUndelivered, stats.undelivered)
        .total_in(region, Metric::PutRecordsRequests, stats.requests)
        .total_in(region, Metric::FailedAttempts, stats.failed_attempts)
        .total_in(region, Metric::ThrottledAttempts, stats.throttled_attempts)
}
