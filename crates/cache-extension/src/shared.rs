//! A second tier: a DynamoDB table that all execution environments share.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use dynamodb_cache::{Cache, CacheError, Clock, DynamoDbStore, FailurePolicy, TableName};
use futures::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::entry::{Item, Parameter, Source};
use crate::slot::refresh_after;
use crate::table_cipher::{CipherError, TableCipher};
use crate::upstream::{Freshness, Load, LoadError, Request, Upstream};
use crate::value::{Kind, Loaded, Value};

/// Keeps the entries apart from others in the table.
const NAMESPACE: &str = "cache-extension";
/// How long other environments wait for the one that loads a value.
const LEASE: Duration = Duration::from_secs(3);
/// Time limit of each of two attempts of a request to the table.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The table's form of a value: an encrypted [`SharedValue`], or nothing for a secret that is not
/// shared, so that no environment waits for it.
type Stored = Option<Vec<u8>>;

/// Loads values from a table, or from the services behind it once for all environments.
///
/// A value stays in the table until the environments begin to reload it, three quarters of its
/// time-to-live after it left its service. If the table or KMS fails, values come from the
/// services.
#[derive(Debug)]
pub struct SharedTier {
    services: Arc<dyn Upstream>,
    table: Cache<Stored>,
    cipher: TableCipher,
    clock: Arc<dyn Clock>,
    with_secrets: bool,
}

/// A value together with the key that it belongs to.
#[derive(Serialize, Deserialize)]
struct SharedValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    kind: Kind,
    /// When the value left its service, in seconds since 1970.
    loaded_at: u64,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

/// Settings of the shared table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTable {
    /// The table, in the function's Region.
    pub name: TableName,
    /// The KMS key under which values are encrypted: its id, its ARN or an alias.
    pub kms_key: String,
    /// Whether secrets are shared too.
    pub with_secrets: bool,
}

impl SharedTier {
    /// Creates a tier in front of these services.
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
        let cipher = TableCipher::new(config, kms_key, name.as_str());
        let store = DynamoDbStore::builder(&aws_sdk_dynamodb::Client::new(config), name)
            .failure_policy(FailurePolicy::Fail { retries: 1 })
            .timeout(TIMEOUT)
            .build();
        let table = Cache::builder(store).namespace(NAMESPACE).lease(LEASE).build();
        let table = table.expect("the constants are valid settings");
        Self { services, table, cipher, clock, with_secrets }
    }

    async fn look_up(&self, batch: &[Request]) -> Result<HashMap<String, Stored>, CacheError> {
        let wanted = batch.iter().filter(|request| request.freshness == Freshness::Cached);
        self.table.get_many(wanted.map(key)).await
    }

    /// Returns a value from the table, or loads it for the table. `None` if it has to come from its
    /// service.
    async fn shared(&self, request: &Request, stored: Option<Stored>) -> Option<Load> {
        if request.freshness == Freshness::Latest {
            return None;
        }
        let key = key(request);
        let stored = match stored {
            Some(stored) => stored,
            None => match self.load_once(request, &key).await {
                Ok(Once::Loaded(load)) => return Some(load),
                Ok(Once::Stored(stored)) => stored,
                Err(error) => {
                    warn!(entry = %request.source, %error, "shared table not usable");
                    return None;
                }
            },
        };
        let message = stored?;
        match self.decrypt(&key, &message).await {
            Ok(loaded) => Some(Ok(loaded)),
            Err(error) => {
                warn!(entry = %request.source, %error, "shared value not readable");
                None
            }
        }
    }

    /// Lets one environment load the value while the others wait for it.
    async fn load_once(&self, request: &Request, key: &str) -> Result<Once, CacheError> {
        let own = Mutex::new(None);
        let load = || async {
            let load = self.services.load(std::slice::from_ref(request)).await.pop();
            let load = load.expect("there is a result for each request");
            *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(load.clone());
            let stored = self.encrypt(key, &load.map_err(Failed::Load)?).await;
            let stored = stored.map_err(Failed::Cipher)?;
            Ok::<_, Failed>(dynamodb_cache::Loaded::for_time(stored, refresh_after(request.ttl)))
        };
        let stored = self.table.get_or_load(key, load).await;
        match own.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(load) => Ok(Once::Loaded(load)),
            None => stored.map(Once::Stored),
        }
    }

    /// Shares a value that was loaded because the latest one was requested.
    async fn put(&self, request: &Request, load: &Load) {
        let (Freshness::Latest, Ok(loaded)) = (request.freshness, load) else { return };
        let key = key(request);
        match self.encrypt(&key, loaded).await {
            Ok(stored) => {
                let set = self.table.set_for(&key, &stored, refresh_after(request.ttl)).await;
                if let Err(error) = set {
                    warn!(entry = %request.source, %error, "value not shared");
                }
            }
            Err(error) => warn!(entry = %request.source, %error, "value not shared"),
        }
    }

    async fn encrypt(&self, key: &str, loaded: &Loaded) -> Result<Stored, CipherError> {
        if loaded.value.kind == Kind::Secret && !self.with_secrets {
            return Ok(None);
        }
        let now = self.clock.now().wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = SharedValue {
            key: key.into(),
            kind: loaded.value.kind,
            loaded_at: now.as_secs(),
            body: String::from_utf8_lossy(&loaded.value.body),
        };
        let plaintext =
            serde_json::to_vec(&shared).expect("the value consists of texts and a number");
        self.cipher.encrypt(&plaintext).await.map(Some)
    }

    async fn decrypt(&self, key: &str, message: &[u8]) -> Result<Loaded, CipherError> {
        let plaintext = self.cipher.decrypt(message).await?;
        let shared: SharedValue<'_> =
            serde_json::from_slice(&plaintext).map_err(|_| CipherError::ForeignItem)?;
        if shared.key != key {
            return Err(CipherError::ForeignItem);
        }
        let loaded_at = UNIX_EPOCH + Duration::from_secs(shared.loaded_at);
        let age = self.clock.now().wall.duration_since(loaded_at).unwrap_or_default();
        let body = shared.body.into_owned().into();
        Ok(Loaded { value: Value { kind: shared.kind, body }, age })
    }
}

/// The result of loading a value once for all environments.
enum Once {
    /// This environment loaded it.
    Loaded(Load),
    /// Another environment loaded it.
    Stored(Stored),
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Load(LoadError),
    #[error(transparent)]
    Cipher(CipherError),
}

impl Upstream for SharedTier {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        Box::pin(async move {
            let mut stored = match self.look_up(batch).await {
                Ok(stored) => stored,
                Err(error) => {
                    warn!(%error, "shared table not readable");
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

/// The key of a value in the table. It includes the time-to-live, which environments may set
/// differently.
fn key(request: &Request) -> String {
    let ttl = request.ttl.as_secs().to_string();
    let parts = match &request.source {
        Source::Parameter(Parameter { region, name }) => vec!["parameter", &ttl, region, name],
        Source::Item(Item { region, table, hash, sort }) => {
            let keys = [hash].into_iter().chain(sort).map(|key| key.value.as_text());
            ["item", &ttl, region, table].into_iter().chain(keys).collect()
        }
    };
    serde_json::to_string(&parts).expect("the parts are texts")
}
