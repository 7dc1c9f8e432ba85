//! The items that are still to be written, in the order of the batch.

use std::collections::{BTreeMap, HashMap};

use crate::item::ItemKey;
use crate::schema::Entry;
use crate::table::Item;
use crate::version::Version;
use crate::wire_size::wire_size;

/// Maximum bytes of a request. DynamoDB takes 16 MB; some are left for what is around the items.
///
/// Source: Amazon DynamoDB API reference, `BatchWriteItem`.
pub(crate) const MAX_REQUEST_BYTES: usize = 15_900_000;

/// Position of an item: the index of its record in the batch, and its index in the record.
pub(crate) type Position = (usize, usize);

/// The keys that are still to be written, by the position of the first record that waits for them.
///
/// Lambda counts progress by the first record that failed, so the lowest position always goes first.
#[derive(Default)]
pub(crate) struct PendingWrites(BTreeMap<Position, PendingWrite>);

impl PendingWrites {
    /// Groups entries by their key. Each comes with the index of its record.
    pub(crate) fn new(entries: impl IntoIterator<Item = (usize, Entry)>) -> Self {
        let mut by_key = HashMap::<_, Vec<ItemVersion>>::new();
        for (record, Entry { member, key, version, item }) in entries {
            let version = ItemVersion { record, member, version, item };
            by_key.entry(key).or_default().push(version);
        }
        let mut pending = Self::default();
        for (key, mut versions) in by_key {
            versions.sort_by(|a, b| a.version.cmp(&b.version));
            pending.put_back(PendingWrite { key, versions, max_items: usize::MAX });
        }
        pending
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next request: the lowest positions, `max_items` of them and `max_bytes` at most, but one
    /// at least.
    pub(crate) fn take(&mut self, max_items: usize, max_bytes: usize) -> Request {
        let mut request = Request::default();
        let mut limit = max_items;
        while let Some(next) = self.0.first_entry() {
            limit = limit.min(next.get().max_items);
            let bytes = wire_size(next.get().item());
            let fits = request.writes.len() < limit && request.bytes + bytes <= max_bytes;
            if !fits && !request.writes.is_empty() {
                break;
            }
            request.bytes += bytes;
            request.writes.push(next.remove());
        }
        request
    }

    /// Returns a key that was not written to its place in the order.
    pub(crate) fn put_back(&mut self, write: PendingWrite) {
        self.0.insert(write.position(), write);
    }

    /// Returns the lowest key.
    pub(crate) fn first(&self) -> Option<&PendingWrite> {
        self.0.first_key_value().map(|(_, write)| write)
    }
}

/// Items that are sent together.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) writes: Vec<PendingWrite>,
    /// Size on the wire.
    pub(crate) bytes: usize,
}

impl IntoIterator for PendingWrites {
    type Item = PendingWrite;
    type IntoIter = std::collections::btree_map::IntoValues<Position, PendingWrite>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_values()
    }
}

/// The items of a batch that have the same key. One of them is written, and supersedes the others.
pub(crate) struct PendingWrite {
    pub(crate) key: ItemKey,
    /// The best one last: that with the highest version or, among equal versions and without
    /// versions, the last one of the batch.
    pub(crate) versions: Vec<ItemVersion>,
    /// Maximum number of items in the request of this one.
    pub(crate) max_items: usize,
}

impl PendingWrite {
    /// Returns the position of the first record that waits for the key.
    pub(crate) fn position(&self) -> Position {
        let positions = self.versions.iter().map(ItemVersion::position);
        positions.min().expect("a key has at least one version")
    }

    /// Returns the item to write.
    pub(crate) fn item(&self) -> &Item {
        &self.versions.last().expect("a key has at least one version").item
    }
}

/// An item of a record.
pub(crate) struct ItemVersion {
    /// Index of the record in the batch.
    pub(crate) record: usize,
    /// Index in the record, if that is an aggregate.
    pub(crate) member: Option<usize>,
    version: Option<Version>,
    item: Item,
}

impl ItemVersion {
    fn position(&self) -> Position {
        (self.record, self.member.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::item::KeyValue;

    fn entry(record: usize, id: &str, bytes: usize) -> (usize, Entry) {
        let item = Item::from([("v".to_owned(), AttributeValue::S("x".repeat(bytes)))]);
        let key = vec![KeyValue::Text(id.to_owned())];
        (record, Entry { member: None, key, version: None, item })
    }

    fn records(request: &[PendingWrite]) -> Vec<Vec<usize>> {
        let records = |write: &PendingWrite| write.versions.iter().map(|v| v.record).collect();
        request.iter().map(records).collect()
    }

    #[test]
    fn keys_are_taken_by_their_first_record() {
        let ids = ["c", "a", "b", "a", "c", "d"];
        let entries = ids.iter().enumerate().map(|(record, id)| entry(record, id, 1));
        let mut pending = PendingWrites::new(entries);
        let request = pending.take(2, MAX_REQUEST_BYTES).writes;
        assert_eq!(records(&request), [vec![0, 4], vec![1, 3]]);
        request.into_iter().for_each(|write| pending.put_back(write));
        let request = pending.take(25, MAX_REQUEST_BYTES).writes;
        assert_eq!(records(&request), [vec![0, 4], vec![1, 3], vec![2], vec![5]]);
        assert!(pending.is_empty());
    }

    #[test]
    fn a_request_ends_at_sixteen_megabytes_and_holds_one_item_at_least() {
        let sizes = [15_000_000, 900_000, 1_000_000, 17_000_000, 1];
        let entries = sizes.iter().enumerate().map(|(at, size)| entry(at, &at.to_string(), *size));
        let mut pending = PendingWrites::new(entries);
        let mut take = || pending.take(25, MAX_REQUEST_BYTES).writes.len();
        let taken: Vec<_> = (0..4).map(|_| take()).collect();
        assert_eq!(taken, [1, 2, 1, 1]);
    }

    #[test]
    fn a_key_may_limit_its_request() {
        let entries = (0..6).map(|at| entry(at, &at.to_string(), 1));
        let mut pending = PendingWrites::new(entries);
        for mut write in pending.take(4, MAX_REQUEST_BYTES).writes {
            write.max_items = 2;
            pending.put_back(write);
        }
        let mut take = || records(&pending.take(25, MAX_REQUEST_BYTES).writes).concat();
        let taken: Vec<_> = (0..3).map(|_| take()).collect();
        assert_eq!(taken, [vec![0, 1], vec![2, 3], vec![4, 5]]);
    }
}
