//! Collects records that share a message.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use record_cipher::Record;
use record_cipher::aggregate::Aggregate;
use tokio::time::Instant;

use crate::delivery::Reply;

/// A record that was accepted for pushing.
pub(crate) struct QueuedRecord {
    pub(crate) record: Record,
    pub(crate) reply: Reply,
    pub(crate) deadline: Instant,
}

/// Records for one message.
pub(crate) struct Group {
    /// Value of the partition key field in all the records, if there is such a field.
    pub(crate) partition_key: Option<String>,
    pub(crate) aggregate: Aggregate,
    pub(crate) replies: Vec<Reply>,
    /// The deadline of the first record.
    pub(crate) deadline: Instant,
    bytes: usize,
    due: Instant,
}

/// The open groups: at most one for each partition key.
pub(crate) struct Aggregator {
    /// Maximum bytes of JSON in a message; zero for one record per message.
    max_bytes: usize,
    /// Time that a group waits for more records.
    linger: Duration,
    /// Maximum bytes in all open groups. Older groups are closed early to stay within it.
    max_open_bytes: usize,
    open: HashMap<Option<String>, Group>,
    open_bytes: usize,
    /// The due time and partition key of each group, in order of the former. Groups that are closed
    /// already may be among them.
    due: VecDeque<(Instant, Option<String>)>,
}

impl Aggregator {
    pub(crate) fn new(max_bytes: usize, linger: Duration, max_open_bytes: usize) -> Self {
        let (open, due) = (HashMap::new(), VecDeque::new());
        Self { max_bytes, linger, max_open_bytes, open, open_bytes: 0, due }
    }

    /// Adds a record, and returns the groups that are complete without it. With one record per
    /// message, that is the record's own.
    pub(crate) fn add(
        &mut self,
        partition_key: Option<String>,
        queued: QueuedRecord,
    ) -> Vec<Group> {
        let QueuedRecord { mut record, reply, deadline } = queued;
        let bytes = record.json_len();
        if let Some(group) = self.open.get_mut(&partition_key) {
            match group.aggregate.try_push(record) {
                Ok(()) => {
                    group.replies.push(reply);
                    group.bytes += bytes;
                    self.open_bytes += bytes;
                    return self.take_excess();
                }
                Err(unfit) => record = unfit,
            }
        }
        let group = Group {
            partition_key: partition_key.clone(),
            aggregate: Aggregate::new(record, self.max_bytes),
            replies: vec![reply],
            deadline,
            bytes,
            due: Instant::now() + self.linger,
        };
        if self.max_bytes == 0 {
            return vec![group];
        }
        self.due.push_back((group.due, partition_key.clone()));
        self.open_bytes += bytes;
        let full = self.open.insert(partition_key, group);
        self.open_bytes -= full.as_ref().map_or(0, |full| full.bytes);
        full.into_iter().chain(self.take_excess()).collect()
    }

    /// Returns when the next group is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }

    /// Takes the groups that are due.
    pub(crate) fn take_due(&mut self) -> Vec<Group> {
        let now = Instant::now();
        self.take_oldest(|_, due| due <= now)
    }

    /// Takes all groups, oldest first.
    pub(crate) fn take_all(&mut self) -> Vec<Group> {
        self.take_oldest(|_, _| true)
    }

    fn take_excess(&mut self) -> Vec<Group> {
        self.take_oldest(|aggregator, _| aggregator.open_bytes > aggregator.max_open_bytes)
    }

    /// Takes groups, oldest first, while `is_wanted` says so.
    fn take_oldest(&mut self, is_wanted: impl Fn(&Self, Instant) -> bool) -> Vec<Group> {
        let mut groups = Vec::new();
        while let Some((due, _)) = self.due.front()
            && is_wanted(self, *due)
            && let Some((due, key)) = self.due.pop_front()
        {
            // The group may be closed already, and another open under the same key.
            if self.open.get(&key).is_some_and(|group| group.due == due) {
                let group = self.open.remove(&key);
                self.open_bytes -= group.as_ref().map_or(0, |group| group.bytes);
                groups.extend(group);
            }
        }
        groups
    }
}
