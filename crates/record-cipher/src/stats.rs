//! What a cipher has done, and the calls of KMS among it.

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

/// What a cipher and its clones have done. Counts only grow, except
/// [`entries`](CacheStats::entries).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CipherStats {
    /// How many records asked for a data key, and how many times KMS was asked for one: when
    /// encrypting, once in every Region each.
    pub data_keys: CmmStats,
    /// What became of the data keys in the cache.
    pub cache: CacheStats,
    /// The calls of KMS by the Region of the key. Empty with a [raw key](crate::Keys::RawAes).
    pub kms: BTreeMap<RegionName, KmsStats>,
}

/// The calls of KMS in one Region that are over. A call that the AWS SDK has tried three times is
/// three calls here: each counts towards the account's quota.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KmsStats {
    /// Calls, those that failed among them.
    pub calls: u64,
    /// Calls that failed, be it by an error of KMS or on the way.
    pub errors: u64,
    /// How many calls took how long, rounded to two significant digits, so that this stays small
    /// (some hundred entries) however many calls there are.
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

/// When the try that is under way began.
#[derive(Debug)]
struct Began(Instant);

impl Storable for Began {
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
        config.interceptor_state().store_put(Began(Instant::now()));
        Ok(())
    }

    /// Called for a try that was cut off by a timeout too.
    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(Began(at)) = config.load::<Began>() {
            self.count(at.elapsed(), !matches!(context.output_or_error(), Some(Ok(_))));
        }
        Ok(())
    }
}

/// To two significant digits of microseconds.
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
