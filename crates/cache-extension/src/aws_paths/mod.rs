//! The paths of AWS's Parameters and Secrets Lambda Extension, with which any parameter or secret is
//! asked for that the function's role may read:
//! <https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-integration-lambda-extensions.html>

mod calls;
mod query;
mod settings;

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dynamodb_cache::Clock;
use lru::LruCache;
use tracing::warn;

pub use self::calls::ServiceCalls;
pub(crate) use self::query::Wanted;
pub use self::settings::AwsPathSettings;
use crate::entry::{Action, Call, Entry, Source};
use crate::slot::{Answer, CacheStatus, Next, Slot};
use crate::upstream::{Freshness, LoadError, Request, Upstream};

/// The answers to calls that requests named, up to a number of them. Clones share them.
#[derive(Debug, Clone)]
pub struct CallCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    region: String,
    /// `None` if nothing is cached.
    slots: Option<Mutex<LruCache<Call, Arc<Slot>>>>,
    upstream: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    settings: AwsPathSettings,
    stale_if_error: Duration,
}

impl CallCache {
    /// Creates an empty cache of the answers of services in this Region.
    #[must_use]
    pub fn new(
        region: &str,
        settings: AwsPathSettings,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        stale_if_error: Duration,
    ) -> Self {
        let slots = NonZero::new(settings.cache_size).map(LruCache::new).map(Mutex::new);
        let region = region.to_owned();
        Self(Arc::new(Shared { region, slots, upstream, clock, settings, stale_if_error }))
    }

    pub(crate) async fn get(&self, wanted: Wanted) -> Result<Answer, LoadError> {
        let Wanted { action, freshness } = wanted;
        let ttl = match action {
            Action::GetParameter { .. } => self.0.settings.parameter_ttl,
            Action::GetSecretValue { .. } => self.0.settings.secret_ttl,
        };
        let call = Call { region: self.0.region.clone(), action };
        match &self.0.slots {
            Some(slots) if !ttl.is_zero() => {
                let slot = self.slot(slots, &call, ttl);
                self.get_slot(slot, freshness).await
            }
            _ => self.load(&Entry { source: Source::Call(call), ttl }, freshness).await,
        }
    }

    fn slot(
        &self,
        slots: &Mutex<LruCache<Call, Arc<Slot>>>,
        call: &Call,
        ttl: Duration,
    ) -> Arc<Slot> {
        let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let entry = Entry { source: Source::Call(call.clone()), ttl };
            Arc::new(Slot::new(entry, self.0.stale_if_error))
        };
        Arc::clone(slots.get_or_insert_ref(call, new))
    }

    async fn get_slot(&self, slot: Arc<Slot>, freshness: Freshness) -> Result<Answer, LoadError> {
        let flight = match slot.next(self.0.clock.now(), freshness) {
            Next::Done(outcome) => return outcome,
            Next::Join(flight) => flight,
            Next::Lead(lead) => {
                let flight = lead.flight();
                let (cache, slot) = (self.clone(), Arc::clone(&slot));
                // A client that hangs up cancels no other client's load.
                tokio::spawn(async move {
                    let load = cache.load_once(&slot.entry, freshness).await;
                    slot.finish(lead, load, cache.0.clock.now());
                });
                flight
            }
        };
        slot.wait(flight, freshness, &*self.0.clock).await
    }

    async fn load(&self, entry: &Entry, freshness: Freshness) -> Result<Answer, LoadError> {
        let loaded = self.load_once(entry, freshness).await?;
        Ok(Answer { value: loaded.value, age: loaded.age, status: CacheStatus::Loaded })
    }

    async fn load_once(&self, entry: &Entry, freshness: Freshness) -> crate::upstream::Load {
        let Entry { source, ttl } = entry.clone();
        let request = Request { source, ttl, freshness };
        let load = self.0.upstream.load(std::slice::from_ref(&request)).await.pop();
        let load = load.expect("there is a result for each request");
        if let Err(error) = &load {
            warn!(entry = %request.source, %error, "value not loaded");
        }
        load
    }
}
