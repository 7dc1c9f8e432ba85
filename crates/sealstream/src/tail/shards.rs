//! Which shards can be read: those whose parents have been read.

use std::collections::{BTreeMap, BTreeSet};

use crate::stream::kinesis::Shard;

/// The shards that are known, each of which is read once.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    known: BTreeSet<String>,
    waiting: BTreeMap<String, Shard>,
    reading: BTreeSet<String>,
}

impl Shards {
    pub(crate) fn add(&mut self, shards: impl IntoIterator<Item = Shard>) {
        for shard in shards {
            if self.known.insert(shard.id.clone()) {
                self.waiting.insert(shard.id.clone(), shard);
            }
        }
    }

    /// The shards that can be read from now on. A record of a shard comes after those of its
    /// parents; parents that are not known are not read.
    pub(crate) fn take_ready(&mut self) -> Vec<String> {
        let is_read = |id: &String| !self.waiting.contains_key(id) && !self.reading.contains(id);
        let ready = self.waiting.values().filter(|shard| shard.parents.iter().all(is_read));
        let ready: Vec<_> = ready.map(|shard| shard.id.clone()).collect();
        for id in &ready {
            self.waiting.remove(id);
            self.reading.insert(id.clone());
        }
        ready
    }

    pub(crate) fn finish(&mut self, id: &str) {
        self.reading.remove(id);
    }

    /// How many are read or have been read.
    pub(crate) fn taken(&self) -> usize {
        self.known.len() - self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str]) -> Shard {
        Shard { id: id.into(), parents: parents.iter().map(|&id| id.into()).collect() }
    }

    #[test]
    fn children_wait_for_their_parents() {
        let mut shards = Shards::default();
        shards.add([shard("2", &["1"]), shard("1", &["0"]), shard("3", &["1"])]);
        assert_eq!(shards.take_ready(), ["1"]);
        assert!(shards.take_ready().is_empty());
        shards.finish("1");
        assert_eq!(shards.take_ready(), ["2", "3"]);
        assert_eq!(shards.taken(), 3);
    }

    #[test]
    fn a_merged_shard_waits_for_both() {
        let mut shards = Shards::default();
        shards.add([shard("1", &[]), shard("2", &[])]);
        assert_eq!(shards.take_ready(), ["1", "2"]);
        for parent in ["2", "1"] {
            assert!(shards.take_ready().is_empty());
            shards.finish(parent);
            shards.add([shard("3", &["1", "2"])]);
        }
        assert_eq!(shards.take_ready(), ["3"]);
    }

    #[test]
    fn no_shard_is_read_twice() {
        let mut shards = Shards::default();
        for _ in 0..2 {
            shards.add([shard("1", &[])]);
            shards.take_ready();
            shards.finish("1");
        }
        shards.add([shard("1", &[])]);
        assert!(shards.take_ready().is_empty());
        assert_eq!(shards.taken(), 1);
    }
}
