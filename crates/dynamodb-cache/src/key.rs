//! Keys of entries and leases.

use std::fmt;
use std::sync::Arc;

use crate::error::{CacheError, InvalidKeyReason, MAX_ID_BYTES};

/// Begins every id that has a namespace, and ends the namespace's name.
const MARK: char = '#';
/// Begins the ids of leases: a namespace with an empty name, which no entry can have.
const LEASE: &str = "##";

/// The key of an entry: the application's key in a namespace.
///
/// The id of `key` in the namespace `tokens` is `#tokens#key`. Without a namespace it is the key
/// itself, as in tables that other programs fill; such a key cannot begin with `#`. So no two keys
/// share an id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    id: Arc<str>,
    /// Where the application's key begins.
    name_at: usize,
}

impl Key {
    /// The table's partition key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The application's key, without the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.id[self.name_at..]
    }

    /// The key of the lease for loading this entry.
    pub(crate) fn lease(&self) -> Self {
        Self { id: format!("{LEASE}{}", self.id).into(), name_at: LEASE.len() }
    }

    /// A key that no entry can have, to try requests on.
    pub(crate) fn for_check(name: &str) -> Self {
        Self { id: format!("{LEASE}check {name}").into(), name_at: LEASE.len() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.id, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// A part of a table with keys of its own, or the whole table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace {
    /// Empty for the whole table.
    prefix: String,
}

impl Namespace {
    pub(crate) fn new(name: &str) -> Result<Self, CacheError> {
        if name.is_empty() || name.contains(MARK) {
            return Err(CacheError::InvalidNamespace { namespace: name.to_owned() });
        }
        Ok(Self { prefix: format!("{MARK}{name}{MARK}") })
    }

    pub(crate) fn key(&self, name: &str) -> Result<Key, CacheError> {
        let invalid = |reason| CacheError::InvalidKey { key: shortened(name), reason };
        if name.is_empty() {
            return Err(invalid(InvalidKeyReason::Empty));
        }
        if self.prefix.is_empty() && name.starts_with(MARK) {
            return Err(invalid(InvalidKeyReason::Reserved));
        }
        let bytes = self.prefix.len() + name.len();
        if bytes > MAX_ID_BYTES {
            return Err(invalid(InvalidKeyReason::TooLong { bytes }));
        }
        Ok(Key { id: [&self.prefix, name].concat().into(), name_at: self.prefix.len() })
    }
}

/// Enough of a key to find it by.
fn shortened(name: &str) -> String {
    const CHARS: usize = 64;
    let mut start: String = name.chars().take(CHARS).collect();
    if start.len() < name.len() {
        start.push('…');
    }
    start
}
