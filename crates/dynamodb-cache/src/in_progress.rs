//! Loads in progress, and what overtakes them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::Key;

/// Counts the writes and removals of a key while it is loaded. Who holds the lock writes the key.
type Writes = Arc<tokio::sync::Mutex<u64>>;

/// The keys that this cache loads at present.
#[derive(Clone, Default)]
pub(crate) struct InProgress(Arc<Mutex<HashMap<Key, Writes>>>);

impl fmt::Debug for InProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProgress")
    }
}

impl InProgress {
    /// Notes that a key is loaded from now on.
    pub(crate) async fn begin(&self, key: &Key) -> Load {
        let writes = Arc::clone(self.lock().entry(key.clone()).or_default());
        let before = *writes.lock().await;
        Load { key: key.clone(), writes, before, loads: self.clone() }
    }

    /// Notes that keys are about to be written or removed, so that values whose loads began earlier
    /// are not stored. Waits for those that are being stored just now.
    pub(crate) async fn overtake(&self, keys: &[Key]) {
        let loading: Vec<_> =
            keys.iter().filter_map(|key| self.lock().get(key).map(Arc::clone)).collect();
        for writes in loading {
            *writes.lock().await += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Writes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A load in progress.
pub(crate) struct Load {
    key: Key,
    writes: Writes,
    before: u64,
    loads: InProgress,
}

impl Load {
    /// Stores the loaded value, unless the key was written or removed since the load began. Returns
    /// `None` if it was.
    pub(crate) async fn store<T, F: Future<Output = T>>(
        &self,
        store: impl FnOnce() -> F,
    ) -> Option<T> {
        let writes = self.writes.lock().await;
        if *writes == self.before { Some(store().await) } else { None }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut loads = self.loads.lock();
        // The map's and this one.
        if Arc::strong_count(&self.writes) == 2 {
            loads.remove(&self.key);
        }
    }
}
