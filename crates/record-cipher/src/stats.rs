//! Counters of a cipher, and of its calls to KMS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kms::config::interceptors::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use esdk_caching_cmm::{CacheStats, CmmStats};
use tokio::time::Instant;

use crate::names::RegionName;

/// Counters of a cipher and its clones. They only grow, except
/// [`entries`](CacheStats::entries).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CipherStats {
    /// Requests for data keys, one for each record, and those of them that had to call KMS. To
    /// encrypt, such a request calls KMS once in every Region.
    pub data_keys: CmmStats,
    /// Data keys in the cache, and why they left it.
    pub cache: CacheStats,
    /// Calls to KMS, by Region. Empty with a [raw key](crate::Keys::RawAes).
    pub kms: BTreeMap<RegionName, KmsStats>,
}

/// Completed calls to KMS in one Region. Each attempt of the AWS SDK counts, as it counts towards
/// the account's quota.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KmsStats {
    /// Calls, including failed ones.
    pub calls: u64,
    /// Failed calls: KMS answered an error, or no answer arrived.
    pub errors: u64,
    /// Number of calls by latency. Latencies are rounded to two significant digits, so the map has
    /// some hundred entries at most.
    pub latencies: BTreeMap<Duration, u64>,
}

/// Counts the calls of the KMS clients of one Region.
#[derive(Debug, Clone, Default)]
pub(crate) struct KmsMeter(Arc<Mutex<KmsStats>>);

impl KmsMeter {
    pub(crate) fn read(&self) -> KmsStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).errors
    }

    fn count(&self, latency: Duration, failed: bool) {
        let mut stats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stats.calls += 1;
        stats.errors += u64::from(failed);
        *stats.latencies.entry(rounded(latency)).or_default() += 1;
    }
}

/// Start of the attempt in flight.
#[derive(Debug)]
struct StartedAt(Instant);

impl Storable for StartedAt {
    type Storer = StoreReplace<Self>;
}

impl Intercept for KmsMeter {
    fn name(&self) -> &'static str {
        "KmsMeter"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(StartedAt(Instant::now()));
        Ok(())
    }

    /// The SDK calls this for attempts that time out, too.
    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(StartedAt(at)) = config.load::<StartedAt>() {
            self.count(at.elapsed(), !matches!(context.output_or_error(), Some(Ok(_))));
        }
        Ok(())
    }
}

/// Rounds to two significant digits of microseconds.
fn rounded(latency: Duration) -> Duration {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX / 2).max(1);
    let unit = 10_u64.pow(micros.ilog10().saturating_sub(1));
    Duration::from_micros((micros + unit / 2) / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_keep_two_digits() {
        for (micros, expected) in [
            (0, 1),
            (9, 9),
            (99, 99),
            (104, 100),
            (105, 110),
            (3_449, 3_400),
            (12_500, 13_000),
            (9_960_000, 10_000_000),
        ] {
            assert_eq!(rounded(Duration::from_micros(micros)), Duration::from_micros(expected));
        }
        assert!(rounded(Duration::MAX) > Duration::from_hours(1));
    }
}
