//! The cache: one value for each entry, loaded once however many requests wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::entry::{Entry, Parameter, Source};
use crate::slot::{Answer, Flight, Lead, Next, Slot};
use crate::upstream::{Freshness, Load, LoadError, PARAMETERS_AT_ONCE, Request, Upstream};
use dynamodb_cache::Clock;

/// The values of all entries. Clones share them.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: Vec<Slot>,
    upstream: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
}

impl Cache {
    /// Creates an empty cache. An expired value that cannot be reloaded is used for
    /// `stale_if_error` longer.
    #[must_use]
    pub fn new(
        entries: Vec<Entry>,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        stale_if_error: Duration,
    ) -> Self {
        let slots = entries.into_iter().map(|entry| Slot::new(entry, stale_if_error)).collect();
        Self(Arc::new(Shared { slots, upstream, clock }))
    }

    /// Returns the entries in their order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.slots.iter().map(|slot| &slot.entry)
    }

    /// Returns the value of the entry with this index. Loads it if it is missing or has expired.
    ///
    /// With [`Freshness::Latest`] it is always loaded, by this request or by one in flight.
    ///
    /// # Errors
    /// The value cannot be loaded, and no stale value may be used.
    ///
    /// # Panics
    /// If the index is out of range.
    pub async fn get(&self, index: usize, freshness: Freshness) -> Result<Answer, LoadError> {
        match self.0.slots[index].next(self.0.clock.now(), freshness) {
            Next::Done(outcome) => outcome,
            Next::Join(flight) => flight.result().await,
            Next::Lead(lead) => {
                let flight = lead.flight();
                self.load(vec![(index, lead)], freshness);
                flight.result().await
            }
        }
    }

    /// Loads all missing values, and returns the number of those that could not be loaded.
    pub async fn fill(&self) -> usize {
        self.load_each(Slot::fill).await
    }

    /// Reloads the values that were requested since they were loaded and will soon expire, or have
    /// expired. Returns when no load is in flight any more.
    ///
    /// Await it while an invocation runs, before the next event is requested: between the two,
    /// Lambda may freeze the process together with its loads.
    pub async fn refresh(&self) {
        let now = self.0.clock.now();
        self.load_each(|slot| slot.refresh(now)).await;
    }

    async fn load_each(&self, next: impl Fn(&Slot) -> Option<Next>) -> usize {
        let mut leads = Vec::new();
        let mut flights: Vec<Flight> = Vec::new();
        for (index, slot) in self.0.slots.iter().enumerate() {
            match next(slot) {
                Some(Next::Lead(lead)) => {
                    flights.push(lead.flight());
                    leads.push((index, lead));
                }
                Some(Next::Join(flight)) => flights.push(flight),
                Some(Next::Done(_)) | None => {}
            }
        }
        self.load(leads, Freshness::Cached);
        let mut failed = 0;
        for flight in flights {
            failed += usize::from(flight.result().await.is_err());
        }
        failed
    }

    /// Makes the requests in tasks of their own, so that a client that hangs up cancels no other
    /// client's load.
    fn load(&self, leads: Vec<(usize, Lead)>, freshness: Freshness) {
        for leads in self.batches(leads) {
            let cache = self.clone();
            tokio::spawn(async move {
                let batch: Vec<_> =
                    leads.iter().map(|(index, _)| cache.request(*index, freshness)).collect();
                let loads = cache.0.upstream.load(&batch).await;
                for (lead, load) in leads.into_iter().zip(loads) {
                    cache.finish(lead, load);
                }
            });
        }
    }

    fn request(&self, index: usize, freshness: Freshness) -> Request {
        let Entry { source, ttl } = self.0.slots[index].entry.clone();
        Request { source, ttl, freshness }
    }

    /// Groups loads into requests.
    fn batches(&self, leads: Vec<(usize, Lead)>) -> Vec<Vec<(usize, Lead)>> {
        let mut batches = Vec::new();
        let mut regions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for lead in leads {
            match &self.0.slots[lead.0].entry.source {
                Source::Item(_) => batches.push(vec![lead]),
                Source::Parameter(Parameter { region, .. }) => {
                    let batch = regions.entry(region).or_default();
                    batch.push(lead);
                    if batch.len() == PARAMETERS_AT_ONCE {
                        batches.push(std::mem::take(batch));
                    }
                }
            }
        }
        batches.extend(regions.into_values().filter(|batch| !batch.is_empty()));
        batches
    }

    fn finish(&self, (index, lead): (usize, Lead), load: Load) {
        let slot = &self.0.slots[index];
        if let Err(error) = &load {
            warn!(entry = %slot.entry.source, %error, "value not loaded");
        }
        slot.finish(lead, load, self.0.clock.now());
    }
}
