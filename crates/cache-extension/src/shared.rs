//! A second tier: a DynamoDB table that all execution environments share.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use dynamodb_cache::{Cache, CacheError, DynamoDbStore, OnTrouble, TableName};
use futures::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::clock::Clock;
use crate::entry::{Item, Parameter, Source};
use crate::seal::{Seal, SealError};
use crate::slot::undisturbed;
use crate::upstream::{Load, LoadError, Request, Upstream, Want};
use crate::value::{Kind, Loaded, Value};

/// Keeps the entries apart from what else may be in the table.
const NAMESPACE: &str = "cache-extension";
/// For how long other environments wait for one that loads a value.
const LEASE: Duration = Duration::from_secs(3);
/// For how long each of two tries of a request to the table may take.
const TIMEOUT: Duration = Duration::from_millis(500);

/// What the table has for a value: an encrypted [`Sealed`], or nothing for a secret that is not
/// shared, so that nobody waits for it.
type Stored = Option<Vec<u8>>;

/// Values from a table, or from the services behind it, once for all who share the table.
///
/// A value is in the table until the environments begin to load it again, three quarters of its
/// time after it left its service. If the table or KMS is in trouble, values come from the
/// services.
#[derive(Debug)]
pub struct SharedTier {
    services: Arc<dyn Upstream>,
    table: Cache<Stored>,
    seal: Seal,
    clock: Arc<dyn Clock>,
    with_secrets: bool,
}

/// A value with what it is bound to.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    kind: Kind,
    /// When it left its service, in seconds since 1970.
    loaded_at: u64,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

/// Which table is shared, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTable {
    /// The table, in the function's Region.
    pub name: TableName,
    /// The KMS key under which values are encrypted: its id, its ARN or an alias.
    pub kms_key: String,
    /// Whether secrets are in it too.
    pub with_secrets: bool,
}

impl SharedTier {
    /// A tier between these services and their users.
    ///
    /// # Panics
    /// Never: the settings of the table's cache are constants.
    #[must_use]
    pub fn new(
        services: Arc<dyn Upstream>,
        table: SharedTable,
        config: &SdkConfig,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let SharedTable { name, kms_key, with_secrets } = table;
        let seal = Seal::new(config, kms_key, name.as_str());
        let store = DynamoDbStore::builder(&aws_sdk_dynamodb::Client::new(config), name)
            .on_trouble(OnTrouble::Fail { retries: 1 })
            .timeout(TIMEOUT)
            .build();
        let table = Cache::builder(store).namespace(NAMESPACE).lease(LEASE).build();
        let table = table.expect("the settings are allowed");
        Self { services, table, seal, clock, with_secrets }
    }

    async fn look_up(&self, batch: &[Request]) -> Result<HashMap<String, Stored>, CacheError> {
        let wanted = batch.iter().filter(|request| request.want == Want::Fresh);
        self.table.get_many(wanted.map(key)).await
    }

    /// A value that is in the table, or is loaded for it. None if it has to come from its service.
    async fn shared(&self, request: &Request, stored: Option<Stored>) -> Option<Load> {
        if request.want == Want::Newest {
            return None;
        }
        let key = key(request);
        let stored = match stored {
            Some(stored) => stored,
            None => match self.load_once(request, &key).await {
                Ok(Once::Loaded(load)) => return Some(load),
                Ok(Once::Stored(stored)) => stored,
                Err(error) => {
                    warn!(entry = %request.source, %error, "the shared table cannot be used");
                    return None;
                }
            },
        };
        let sealed = stored?;
        match self.open(&key, &sealed).await {
            Ok(loaded) => Some(Ok(loaded)),
            Err(error) => {
                warn!(entry = %request.source, %error, "a shared value cannot be read");
                None
            }
        }
    }

    /// Has one environment load the value, and the others wait for it.
    async fn load_once(&self, request: &Request, key: &str) -> Result<Once, CacheError> {
        let own = Mutex::new(None);
        let load = || async {
            let load = self.services.load(std::slice::from_ref(request)).await.pop();
            let load = load.expect("there is a result for each request");
            *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(load.clone());
            let stored = self.stored(key, &load.map_err(Failed::Load)?).await;
            let stored = stored.map_err(Failed::Seal)?;
            Ok::<_, Failed>(dynamodb_cache::Loaded::for_time(stored, undisturbed(request.ttl)))
        };
        let stored = self.table.get_or_load(key, load).await;
        match own.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(load) => Ok(Once::Loaded(load)),
            None => stored.map(Once::Stored),
        }
    }

    /// Values that had to come from their services in any case.
    async fn put(&self, request: &Request, load: &Load) {
        let (Want::Newest, Ok(loaded)) = (request.want, load) else { return };
        let key = key(request);
        match self.stored(&key, loaded).await {
            Ok(stored) => {
                let set = self.table.set_for(&key, &stored, undisturbed(request.ttl)).await;
                if let Err(error) = set {
                    warn!(entry = %request.source, %error, "a value cannot be shared");
                }
            }
            Err(error) => warn!(entry = %request.source, %error, "a value cannot be shared"),
        }
    }

    async fn stored(&self, key: &str, loaded: &Loaded) -> Result<Stored, SealError> {
        if loaded.value.kind == Kind::Secret && !self.with_secrets {
            return Ok(None);
        }
        let now = self.clock.now().wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let sealed = Sealed {
            key: key.into(),
            kind: loaded.value.kind,
            loaded_at: now.as_secs(),
            body: String::from_utf8_lossy(&loaded.value.body),
        };
        let plaintext = serde_json::to_vec(&sealed).expect("it is texts and a number");
        self.seal.seal(&plaintext).await.map(Some)
    }

    async fn open(&self, key: &str, message: &[u8]) -> Result<Loaded, SealError> {
        let plaintext = self.seal.open(message).await?;
        let sealed: Sealed<'_> =
            serde_json::from_slice(&plaintext).map_err(|_| SealError::NotOurs)?;
        if sealed.key != key {
            return Err(SealError::NotOurs);
        }
        let loaded_at = UNIX_EPOCH + Duration::from_secs(sealed.loaded_at);
        let age = self.clock.now().wall.duration_since(loaded_at).unwrap_or_default();
        let body = sealed.body.into_owned().into();
        Ok(Loaded { value: Value { kind: sealed.kind, body }, age })
    }
}

/// What came of loading a value once for all.
enum Once {
    /// This environment loaded it.
    Loaded(Load),
    /// Another did.
    Stored(Stored),
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Load(LoadError),
    #[error(transparent)]
    Seal(SealError),
}

impl Upstream for SharedTier {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        Box::pin(async move {
            let mut stored = match self.look_up(batch).await {
                Ok(stored) => stored,
                Err(error) => {
                    warn!(%error, "the shared table cannot be read");
                    return self.services.load(batch).await;
                }
            };
            let shared = batch.iter().map(|request| {
                let stored = stored.remove(&key(request));
                self.shared(request, stored)
            });
            let shared = join_all(shared).await;
            let rest: Vec<_> = std::iter::zip(batch, &shared)
                .filter(|(_, load)| load.is_none())
                .map(|(request, _)| request.clone())
                .collect();
            if rest.is_empty() {
                return shared.into_iter().flatten().collect();
            }
            let loads = self.services.load(&rest).await;
            join_all(std::iter::zip(&rest, &loads).map(|(request, load)| self.put(request, load)))
                .await;
            let mut loads = loads.into_iter();
            shared.into_iter().filter_map(|load| load.or_else(|| loads.next())).collect()
        })
    }
}

/// What a value is stored under. Those who use a value for another time have another.
fn key(request: &Request) -> String {
    let ttl = request.ttl.as_secs().to_string();
    let parts = match &request.source {
        Source::Parameter(Parameter { region, name }) => vec!["parameter", &ttl, region, name],
        Source::Item(Item { region, table, hash, sort }) => {
            let keys = [hash].into_iter().chain(sort).map(|key| key.value.as_text());
            ["item", &ttl, region, table].into_iter().chain(keys).collect()
        }
    };
    serde_json::to_string(&parts).expect("it is texts")
}
