//! The cache: one value for each entry, loaded once however many requests wait for it.

use std::sync::Arc;
use std::time::Duration;

use dynamodb_cache::{Clock, Timestamp};
use tracing::warn;

use crate::entry::{Entry, Source};
use crate::slot::{Answer, Flight, Lead, Next, Slot};
use crate::upstream::{
    Freshness, ITEMS_AT_ONCE, Load, LoadError, PARAMETERS_AT_ONCE, Request, Upstream,
};

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
    /// With [`Freshness::Latest`] it is always loaded, by this request or by one in flight. Otherwise,
    /// while the load takes longer than 200 ms, a stale value is returned if it may be used.
    ///
    /// # Errors
    /// The value cannot be loaded, and no stale value may be used.
    ///
    /// # Panics
    /// If the index is out of range.
    pub async fn get(&self, index: usize, freshness: Freshness) -> Result<Answer, LoadError> {
        let slot = &self.0.slots[index];
        let now = self.0.clock.now();
        let flight = match slot.next(now, freshness) {
            Next::Done(outcome) => return outcome,
            Next::Join(flight) => flight,
            Next::Lead(lead) => {
                let flight = lead.flight();
                let mut leads = vec![(index, lead, freshness)];
                leads.extend(self.companions(index, now));
                self.load(leads);
                flight
            }
        };
        slot.wait(flight, freshness, &*self.0.clock).await
    }

    /// Other values to load in the same request: those that were asked for and are due too.
    fn companions(&self, index: usize, now: Timestamp) -> Vec<(usize, Lead, Freshness)> {
        let entry = &self.0.slots[index].entry;
        let others = self.0.slots.iter().enumerate();
        let others = others.filter(|(other, slot)| *other != index && slot.entry.goes_with(entry));
        let leads = others
            .filter_map(|(other, slot)| Some((other, slot.join_load(now)?, Freshness::Cached)));
        leads.take(batch_size(&entry.source) - 1).collect()
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
                    leads.push((index, lead, Freshness::Cached));
                }
                Some(Next::Join(flight)) => flights.push(flight),
                Some(Next::Done(_)) | None => {}
            }
        }
        self.load(leads);
        let mut failed = 0;
        for flight in flights {
            failed += usize::from(flight.result().await.is_err());
        }
        failed
    }

    /// Makes the requests in tasks of their own, so that a client that hangs up cancels no other
    /// client's load.
    fn load(&self, leads: Vec<(usize, Lead, Freshness)>) {
        for leads in self.batches(leads) {
            let cache = self.clone();
            tokio::spawn(async move {
                let request = |(index, _, freshness): &(usize, Lead, Freshness)| {
                    let Entry { source, ttl } = cache.0.slots[*index].entry.clone();
                    Request { source, ttl, freshness: *freshness }
                };
                let batch: Vec<_> = leads.iter().map(request).collect();
                let loads = cache.0.upstream.load(&batch).await;
                for ((index, lead, _), load) in leads.into_iter().zip(loads) {
                    cache.finish((index, lead), load);
                }
            });
        }
    }

    /// Groups loads into requests, of values of the same kind, Region and time-to-live.
    fn batches(&self, leads: Vec<(usize, Lead, Freshness)>) -> Vec<Vec<(usize, Lead, Freshness)>> {
        let mut batches: Vec<Vec<(usize, Lead, Freshness)>> = Vec::new();
        for lead in leads {
            let entry = &self.0.slots[lead.0].entry;
            let is_open = |batch: &&mut Vec<(usize, Lead, Freshness)>| {
                batch.len() < batch_size(&entry.source)
                    && self.0.slots[batch[0].0].entry.goes_with(entry)
            };
            match batches.iter_mut().rev().find(is_open) {
                Some(batch) => batch.push(lead),
                None => batches.push(vec![lead]),
            }
        }
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

fn batch_size(source: &Source) -> usize {
    match source {
        Source::Parameter(_) => PARAMETERS_AT_ONCE,
        Source::Item(_) => ITEMS_AT_ONCE,
        Source::Call(_) => 1,
    }
}
