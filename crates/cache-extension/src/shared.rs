//! A second tier: a DynamoDB table that all execution environments share.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_lc_rs::digest::{SHA256, digest};
use aws_outcome::Pauses;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dynamodb_cache::{
    AddOutcome, Cache, CacheError, Clock, DynamoDbStore, FailurePolicy, TableName,
};
use futures::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::entry::{Item, Parameter, Source};
use crate::slot::refresh_after;
use crate::table_cipher::{CipherError, TableCipher};
use crate::upstream::{Freshness, Load, Request, Upstream};
use crate::value::{Kind, Loaded, Value};

/// Keeps the entries apart from others in the table.
const NAMESPACE: &str = "cache-extension";
/// How long other environments wait for the one that loads values.
const LEASE: Duration = Duration::from_secs(3);
/// Time limit of a request to the table, its retry included. The first one opens a connection, in an
/// environment that has little of a processor.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much later than this environment's clock another one's may be.
const MAX_SKEW: Duration = Duration::from_secs(2);
/// How long values are not shared after the KMS key could not be used.
const CIPHER_PAUSE: Duration = Duration::from_mins(1);

/// The table's form of a value: an encrypted [`SharedValue`]; or nothing, for a secret that is not
/// shared or a value that is too large, so that no environment waits for it.
type Stored = Option<Vec<u8>>;

/// Loads values from a table, or from the services behind it once for all environments.
///
/// The values of a request are shared together. Who adds their mark to the table loads and stores
/// them, and the others find the mark and wait for the values. The mark lives as long as the values,
/// three quarters of their time-to-live; until they are stored, only for three seconds. If the table or
/// KMS fails, values come from the services.
#[derive(Debug)]
pub struct SharedTier {
    services: Arc<dyn Upstream>,
    table: Cache<Stored>,
    cipher: TableCipher,
    clock: Arc<dyn Clock>,
    with_secrets: bool,
    /// Keys that this environment has loaded before. Others may have stored them since.
    known: Mutex<HashSet<String>>,
    cipher_failed: Mutex<Option<Instant>>,
}

/// A value together with the key that it belongs to.
#[derive(Serialize, Deserialize)]
struct SharedValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    kind: Kind,
    /// When the value left its service, in milliseconds since 1970.
    loaded_at: u64,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

/// What the table has for a request.
enum Found {
    /// A value.
    Value(Loaded),
    /// Each environment loads its own.
    NotShared,
}

/// What an environment does next.
enum Turn {
    /// Load all values, and store them.
    Load,
    /// Use these, by their keys, and load the others.
    Use(HashMap<String, Found>),
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
        let table = Cache::builder(store).namespace(NAMESPACE).clock(Arc::clone(&clock)).build();
        let table = table.expect("the constants are valid settings");
        Self {
            services,
            table,
            cipher,
            clock,
            with_secrets,
            known: Mutex::default(),
            cipher_failed: Mutex::default(),
        }
    }

    async fn load_shared(&self, batch: &[Request]) -> Vec<Load> {
        let wanted: Vec<_> =
            batch.iter().filter(|request| request.freshness == Freshness::Cached).collect();
        let mark = mark(&wanted);
        let turn = match self.turn(&wanted, &mark).await {
            Ok(turn) => turn,
            Err(error) => {
                warn!(%error, "shared table not usable");
                return self.services.load(batch).await;
            }
        };
        let (mut found, is_first) = match turn {
            Turn::Load => (HashMap::new(), true),
            Turn::Use(found) => (found, false),
        };
        let mut take = |request: &Request| match request.freshness {
            Freshness::Cached => found.remove(&key(request)),
            Freshness::Latest => None,
        };
        let found: Vec<_> = batch.iter().map(&mut take).collect();
        let open = std::iter::zip(batch, &found).filter_map(|(request, found)| match found {
            Some(Found::Value(_)) => None,
            Some(Found::NotShared) => Some((request, false)),
            None => Some((request, true)),
        });
        let open: Vec<_> = open.collect();
        let missing: Vec<_> = open.iter().map(|(request, _)| (*request).clone()).collect();
        let loads = match missing.as_slice() {
            [] => Vec::new(),
            missing => self.services.load(missing).await,
        };
        let shared = std::iter::zip(open, &loads);
        let shared =
            shared.filter_map(|((request, is_new), load)| is_new.then_some((request, load)));
        let shared: Vec<_> = shared.collect();
        self.store(&shared, is_first.then_some(mark)).await;
        let mut loads = loads.into_iter();
        let load = |found| match found {
            Some(Found::Value(loaded)) => Some(Ok(loaded)),
            Some(Found::NotShared) | None => loads.next(),
        };
        found.into_iter().filter_map(load).collect()
    }

    /// Decides who loads. An environment that has not loaded these values yet first asks to be the one
    /// who does, because most are alone; later others are likely to have stored newer ones.
    async fn turn(&self, wanted: &[&Request], mark: &str) -> Result<Turn, CacheError> {
        if wanted.is_empty() {
            return Ok(Turn::Use(HashMap::new()));
        }
        let keys: Vec<_> = wanted.iter().map(|request| key(request)).collect();
        let is_known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = keys.iter().any(|key| known.contains(key));
            known.extend(keys);
            is_known
        };
        if is_known {
            let found = self.look_up(wanted).await?;
            if found.len() == wanted.len() {
                return Ok(Turn::Use(found));
            }
        }
        let end = Instant::now() + LEASE;
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_millis(800));
        while self.table.add_for(mark, &None, LEASE).await? != AddOutcome::Added {
            let found = loop {
                let found = self.look_up(wanted).await?;
                if found.len() == wanted.len() {
                    return Ok(Turn::Use(found));
                }
                match self.table.get_with_expiry(mark).await? {
                    Some(mark) if self.may_be_loading(mark.expires_at) && Instant::now() < end => {
                        sleep(pauses.next_pause()).await;
                    }
                    // They may have been stored since they were looked up. If not, they were removed,
                    // or are too old.
                    Some(_) => break Some(self.look_up(wanted).await?),
                    None => break None,
                }
            };
            if let Some(found) = found {
                return Ok(Turn::Use(found));
            }
        }
        Ok(Turn::Load)
    }

    /// Returns `false` if a mark with this expiry means that the values are stored.
    fn may_be_loading(&self, expires_at: SystemTime) -> bool {
        let left = expires_at.duration_since(self.clock.now().wall).unwrap_or_default();
        left <= LEASE + MAX_SKEW
    }

    /// Returns what the table has and may be used, by keys.
    async fn look_up(&self, wanted: &[&Request]) -> Result<HashMap<String, Found>, CacheError> {
        let mut stored = self.table.get_many(wanted.iter().map(|request| key(request))).await?;
        let read = wanted.iter().filter_map(|request| {
            let key = key(request);
            let stored = stored.remove(&key)?;
            Some(async move {
                let found = match stored {
                    Some(message) => self.read(request, &key, &message).await?,
                    None => Found::NotShared,
                };
                Some((key, found))
            })
        });
        Ok(join_all(read).await.into_iter().flatten().collect())
    }

    async fn read(&self, request: &Request, key: &str, message: &[u8]) -> Option<Found> {
        match self.decrypt(request, key, message).await {
            Ok(loaded) => Some(Found::Value(loaded)),
            Err(error) => {
                warn!(entry = %request.source, %error, "shared value not used");
                None
            }
        }
    }

    /// Stores what was loaded, and the mark if the others wait for it. Without values, the mark is
    /// removed, so that another environment loads.
    async fn store(&self, loaded: &[(&Request, &Load)], mark: Option<String>) {
        let Some((first, _)) = loaded.first() else { return };
        let mut values = Vec::new();
        for (request, load) in loaded {
            let Ok(loaded) = load else { continue };
            let key = key(request);
            match self.encrypt(&key, loaded).await {
                Ok(stored) => values.push((key, stored)),
                Err(error) => {
                    self.cipher_fails(&error);
                    values.clear();
                    break;
                }
            }
        }
        let stored = match (values.is_empty(), &mark) {
            (true, Some(mark)) => self.table.delete(mark).await.map(drop),
            (true, None) => Ok(()),
            (false, _) => {
                values.extend(mark.map(|mark| (mark, None)));
                self.set(values, refresh_after(first.ttl)).await
            }
        };
        if let Err(error) = stored {
            warn!(%error, "values not shared");
        }
    }

    /// Stores values, and nothing in place of those that are too large.
    async fn set(
        &self,
        mut values: Vec<(String, Stored)>,
        time_to_live: Duration,
    ) -> Result<(), CacheError> {
        loop {
            let entries = values.iter().map(|(key, stored)| (key, stored));
            match self.table.set_many_for(entries, time_to_live).await {
                Err(CacheError::TooLarge { key: id, .. }) => {
                    let too_large = values.iter_mut().find(|(key, _)| id.ends_with(key.as_str()));
                    let Some((_, stored)) = too_large else { return Ok(()) };
                    *stored = None;
                }
                result => return result.map(drop),
            }
        }
    }

    /// Stops sharing for a while, since each value would be loaded, and its mark written, in vain.
    fn cipher_fails(&self, error: &CipherError) {
        let mut failed = self.cipher_failed.lock().unwrap_or_else(PoisonError::into_inner);
        warn!(%error, pause = ?CIPHER_PAUSE, "values not shared: they cannot be encrypted");
        *failed = Some(Instant::now());
    }

    fn can_share(&self, batch: &[Request]) -> bool {
        let failed = *self.cipher_failed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_long = |request: &Request| refresh_after(request.ttl) >= Duration::from_secs(1);
        failed.is_none_or(|at| at.elapsed() >= CIPHER_PAUSE) && batch.iter().all(is_long)
    }

    async fn encrypt(&self, key: &str, loaded: &Loaded) -> Result<Stored, CipherError> {
        if loaded.value.kind == Kind::Secret && !self.with_secrets {
            return Ok(None);
        }
        let now = self.clock.now().wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = SharedValue {
            key: key.into(),
            kind: loaded.value.kind,
            loaded_at: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            body: String::from_utf8_lossy(&loaded.value.body),
        };
        let plaintext =
            serde_json::to_vec(&shared).expect("the value consists of texts and a number");
        self.cipher.encrypt(&plaintext).await.map(Some)
    }

    /// Decrypts a value. Its expiry in the table is not authenticated, but its age is: whoever may
    /// write to the table can put an old value back, and it is refused.
    async fn decrypt(
        &self,
        request: &Request,
        key: &str,
        message: &[u8],
    ) -> Result<Loaded, CipherError> {
        let plaintext = self.cipher.decrypt(message).await?;
        let shared: SharedValue<'_> =
            serde_json::from_slice(&plaintext).map_err(|_| CipherError::ForeignItem)?;
        if shared.key != key {
            return Err(CipherError::ForeignItem);
        }
        let loaded_at = UNIX_EPOCH.checked_add(Duration::from_millis(shared.loaded_at));
        let loaded_at = loaded_at.ok_or(CipherError::FromTheFuture)?;
        let age = match self.clock.now().wall.duration_since(loaded_at) {
            Ok(age) if age >= request.ttl => return Err(CipherError::TooOld { age }),
            Ok(age) => age,
            Err(ahead) if ahead.duration() > MAX_SKEW => return Err(CipherError::FromTheFuture),
            Err(_) => Duration::ZERO,
        };
        let body = shared.body.into_owned().into();
        Ok(Loaded { value: Value { kind: shared.kind, body }, age })
    }
}

impl Upstream for SharedTier {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        match self.can_share(batch) {
            true => Box::pin(self.load_shared(batch)),
            false => self.services.load(batch),
        }
    }
}

/// The key of the mark of a request's values, in whatever order.
fn mark(batch: &[&Request]) -> String {
    let mut keys: Vec<_> = batch.iter().map(|request| key(request)).collect();
    keys.sort_unstable();
    let keys = serde_json::to_vec(&keys).expect("the keys are texts");
    let digest = digest(&SHA256, &keys);
    format!("[\"mark\",\"{}\"]", BASE64_STANDARD.encode(digest))
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
        Source::Call(_) => unreachable!("calls are not shared"),
    };
    serde_json::to_string(&parts).expect("the parts are texts")
}
