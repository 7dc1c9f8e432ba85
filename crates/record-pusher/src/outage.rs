//! What happens to records while an operator has to act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_outcome::Cause;
use record_cipher::RegionName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::pending_delivery::LONGEST_PAUSE;

/// Policy for records that meet an error which only an operator can resolve: credentials,
/// permissions, a missing stream or key, or the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnOutage {
    /// The record is returned as undelivered at once.
    #[default]
    Fail,
    /// The record is retried until the outage ends, and does not expire meanwhile. Applies to a
    /// service that has worked before; a service that never worked points to a wrong setting, and
    /// fails the record at once.
    Wait,
}

/// An outage that only an operator can end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outage {
    /// Region of the stream, or `None` if AWS KMS could not be used.
    pub region: Option<RegionName>,
    /// The error, in one sentence.
    pub error: String,
    /// Cause of AWS's error, if it is known.
    pub cause: Option<Cause>,
}

/// A service that can be out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Kms,
    Stream(RegionName),
}

/// The outages of a pusher, and its clock: time does not pass while there is an outage.
#[derive(Debug)]
pub(crate) struct Outages {
    policy: OnOutage,
    /// Time that every record has after an outage.
    delivery_timeout: Duration,
    state: Mutex<State>,
    current: watch::Sender<Option<Outage>>,
}

#[derive(Debug, Default)]
struct State {
    /// Services that have worked.
    worked: BTreeSet<Service>,
    out: BTreeMap<Service, (String, Option<Cause>)>,
    since: Option<Instant>,
    /// Total duration of past outages, and the time that records were given after them.
    past: Duration,
}

/// Shortest pause between two looks at the clock.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

impl Outages {
    pub(crate) fn new(policy: OnOutage, delivery_timeout: Duration) -> Self {
        Self {
            policy,
            delivery_timeout,
            state: Mutex::default(),
            current: watch::Sender::default(),
        }
    }

    /// Returns a receiver of the current outage.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Outage>> {
        self.current.subscribe()
    }

    /// Notes that a service works, which ends its outage.
    pub(crate) fn works(&self, service: &Service) {
        let mut state = self.state();
        if !state.worked.contains(service) {
            state.worked.insert(service.clone());
        }
        if state.out.remove(service).is_none() {
            return;
        }
        if state.out.is_empty() {
            let since = state.since.take();
            let duration = since.map(|since| since.elapsed()).unwrap_or_default();
            // A record may be in a pause that it began during the outage.
            state.past += duration + LONGEST_PAUSE + self.delivery_timeout;
        }
        self.publish(&state);
    }

    /// Notes an operator error. Returns whether the record is to be retried until the outage ends.
    pub(crate) fn waits_out(&self, service: &Service, error: &str, cause: Option<Cause>) -> bool {
        let mut state = self.state();
        if self.policy == OnOutage::Fail || !state.worked.contains(service) {
            return false;
        }
        state.since.get_or_insert_with(Instant::now);
        if state.out.insert(service.clone(), (error.to_owned(), cause)).is_none() {
            self.publish(&state);
        }
        true
    }

    /// Returns whether there is an outage.
    pub(crate) fn is_out(&self) -> bool {
        self.state().since.is_some()
    }

    /// Returns whether a deadline has passed. Time stands still during an outage.
    pub(crate) fn has_passed(&self, deadline: Instant) -> bool {
        self.left(deadline).is_zero()
    }

    /// Returns the time until a deadline, zero if it has passed.
    pub(crate) fn left(&self, deadline: Instant) -> Duration {
        let state = self.state();
        let now = state.since.unwrap_or_else(Instant::now);
        (deadline + state.past).saturating_duration_since(now)
    }

    /// Waits until a deadline has passed.
    pub(crate) async fn passed(&self, deadline: Instant) {
        loop {
            match self.left(deadline) {
                Duration::ZERO => return,
                left => sleep(left.max(SHORTEST_PAUSE)).await,
            }
        }
    }

    fn publish(&self, state: &State) {
        let outage = state.out.iter().next().map(|(service, (error, cause))| Outage {
            region: match service {
                Service::Kms => None,
                Service::Stream(region) => Some(region.clone()),
            },
            error: error.clone(),
            cause: *cause,
        });
        self.current.send_replace(outage);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn stream() -> Service {
        Service::Stream("eu-west-1".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_never_worked_is_not_waited_for() {
        for policy in [OnOutage::Fail, OnOutage::Wait] {
            let outages = Outages::new(policy, Duration::ZERO);
            assert!(!outages.waits_out(&stream(), "denied", None));
            outages.works(&stream());
            assert_eq!(outages.waits_out(&stream(), "denied", None), policy == OnOutage::Wait);
            assert!(!outages.waits_out(&Service::Kms, "denied", None), "another service");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_passes_during_an_outage() {
        let outages = Outages::new(OnOutage::Wait, Duration::ZERO);
        [stream(), Service::Kms].iter().for_each(|service| outages.works(service));
        let deadline = Instant::now() + Duration::from_secs(10);
        advance(Duration::from_secs(4)).await;
        assert!(outages.waits_out(&stream(), "denied", None));
        advance(Duration::from_secs(100)).await;
        assert!(outages.waits_out(&Service::Kms, "expired", None));
        outages.works(&stream());
        advance(Duration::from_secs(100)).await;
        assert_eq!(outages.left(deadline), Duration::from_secs(6));
        outages.works(&Service::Kms);
        advance(LONGEST_PAUSE + Duration::from_secs(5)).await;
        assert!(!outages.has_passed(deadline));
        let before = Instant::now();
        outages.passed(deadline).await;
        assert_eq!(before.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn records_have_the_delivery_timeout_after_an_outage() {
        let timeout = Duration::from_secs(5);
        let outages = Outages::new(OnOutage::Wait, timeout);
        outages.works(&stream());
        let deadline = Instant::now() + Duration::from_millis(1);
        assert!(outages.waits_out(&stream(), "denied", None));
        advance(Duration::from_secs(100)).await;
        outages.works(&stream());
        assert!(outages.left(deadline) >= timeout + LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn subscribers_see_an_outage_begin_and_end() {
        let outages = Outages::new(OnOutage::Wait, Duration::ZERO);
        let mut current = outages.subscribe();
        outages.works(&stream());
        assert!(!current.has_changed().unwrap());
        outages.waits_out(&stream(), "denied", None);
        outages.waits_out(&stream(), "denied", None);
        let outage = current.borrow_and_update().clone().unwrap();
        assert_eq!(
            (outage.region.unwrap().as_str(), outage.error.as_str()),
            ("eu-west-1", "denied")
        );
        assert!(!current.has_changed().unwrap());
        outages.works(&stream());
        assert_eq!(*current.borrow_and_update(), None);
    }
}
