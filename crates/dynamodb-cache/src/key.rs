//! What an entry is stored under.

use std::fmt;
use std::sync::Arc;

use crate::error::CacheError;

/// Begins the ids of all namespaces, and ends the namespace's name.
const MARK: char = '#';
/// Begins the ids of leases: a namespace without a name, which no other id is in.
const LEASE: &str = "##";
/// DynamoDB's limit on a partition key is 2,048 bytes, two of which are for leases:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub(crate) const MAX_ID_BYTES: usize = 2048 - LEASE.len();

/// What an entry is stored under: a key of the application, in its namespace.
///
/// The id of `key` in the namespace `tokens` is `#tokens#key`. Without a namespace it is the key
/// itself, as it is in tables that were there before this crate; such a key cannot begin with `#`.
/// So no two keys share an id.
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

    /// What the lease for loading this entry is stored under.
    pub(crate) fn lease(&self) -> Self {
        Self { id: format!("{LEASE}{}", self.id).into(), name_at: LEASE.len() }
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

/// A part of a table that has keys of its own, or the table itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespace {
    /// Empty for the table itself.
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
        let problem = |problem| CacheError::InvalidKey { key: shortened(name), problem };
        if name.is_empty() {
            return Err(problem(KeyProblem::Empty));
        }
        if self.prefix.is_empty() && name.starts_with(MARK) {
            return Err(problem(KeyProblem::Reserved));
        }
        let bytes = self.prefix.len() + name.len();
        if bytes > MAX_ID_BYTES {
            return Err(problem(KeyProblem::TooLong { bytes }));
        }
        Ok(Key { id: [&self.prefix, name].concat().into(), name_at: self.prefix.len() })
    }
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// DynamoDB has no empty keys.
    #[error("it is empty")]
    Empty,
    /// Without a namespace it would be taken for a key that has one.
    #[error("it begins with #, which only ids of namespaces do")]
    Reserved,
    /// DynamoDB's keys have an upper limit.
    #[error("with its namespace it has {bytes} bytes, and the limit is {MAX_ID_BYTES}")]
    TooLong {
        /// Bytes of the key and of its namespace with the two marks.
        bytes: usize,
    },
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
