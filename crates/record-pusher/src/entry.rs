//! An encrypted message on its way to Kinesis.

use std::fmt;

/// One entry of a PutRecords request, the same for every Region.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) partition_key: String,
    /// No other entry has the partition key, so the entry's order does not matter.
    pub(crate) unordered: bool,
    pub(crate) data: Vec<u8>,
}

impl Entry {
    /// Returns the size that Kinesis's limits apply to.
    pub(crate) fn size(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("size", &self.size()).finish_non_exhaustive()
    }
}
