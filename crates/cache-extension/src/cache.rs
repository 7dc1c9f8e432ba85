//! The cache: one value for each entry, loaded once however many requests wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::entry::{Entry, Parameter, Source};
use crate::slot::{Answer, Flight, Lead, Next, Slot};
use crate::upstream::{Load, LoadError, PARAMETERS_AT_ONCE, Request, Upstream, Want};

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
    /// An empty cache. A value that cannot be loaded again is used for `stale_if_error` beyond its
    /// time.
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

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.slots.iter().map(|slot| &slot.entry)
    }

    /// The value of the entry with this index, loaded if there is none that may be used.
    ///
    /// With [`Want::Newest`] it is loaded in any case, by this request or by one that is under way.
    ///
    /// # Errors
    /// The value cannot be loaded, and there is no stale one that may be used.
    ///
    /// # Panics
    /// If there is no such entry.
    pub async fn get(&self, index: usize, want: Want) -> Result<Answer, LoadError> {
        match self.0.slots[index].next(self.0.clock.now(), want) {
            Next::Done(outcome) => outcome,
            Next::Join(flight) => flight.landed().await,
            Next::Lead(lead) => {
                let flight = lead.flight();
                self.load(vec![(index, lead)], want);
                flight.landed().await
            }
        }
    }

    /// Loads all values that are not there, and comes back when that is done, with the number of
    /// those that could not be loaded.
    pub async fn fill(&self) -> usize {
        self.load_each(Slot::fill).await
    }

    /// Loads the values again that were asked for since they were loaded and are near the end of
    /// their time, or over it, and comes back when nothing is being loaded any more.
    ///
    /// To be awaited while an invocation runs, before the next is asked for: between the two,
    /// Lambda may freeze the process, and with it whatever is under way.
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
        self.load(leads, Want::Fresh);
        let mut failed = 0;
        for flight in flights {
            failed += usize::from(flight.landed().await.is_err());
        }
        failed
    }

    /// Makes the requests in tasks of their own: a client that hangs up takes no other's load with
    /// it.
    fn load(&self, leads: Vec<(usize, Lead)>, want: Want) {
        for leads in self.batches(leads) {
            let cache = self.clone();
            tokio::spawn(async move {
                let batch: Vec<_> =
                    leads.iter().map(|(index, _)| cache.request(*index, want)).collect();
                let loads = cache.0.upstream.load(&batch).await;
                for (lead, load) in leads.into_iter().zip(loads) {
                    cache.land(lead, load);
                }
            });
        }
    }

    fn request(&self, index: usize, want: Want) -> Request {
        let Entry { source, ttl } = self.0.slots[index].entry.clone();
        Request { source, ttl, want }
    }

    /// What can be asked for at once.
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

    fn land(&self, (index, lead): (usize, Lead), load: Load) {
        let slot = &self.0.slots[index];
        if let Err(error) = &load {
            warn!(entry = %slot.entry.source, %error, "a value could not be loaded");
        }
        slot.land(lead, load, self.0.clock.now());
    }
}
