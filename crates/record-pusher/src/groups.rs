//! Records that share a message.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use record_cipher::Record;
use record_cipher::aggregate::Aggregate;
use tokio::time::Instant;

use crate::receipt::Reply;

/// A record that was accepted for pushing.
pub(crate) struct Job {
    pub(crate) record: Record,
    pub(crate) reply: Reply,
}

/// Records for one message.
pub(crate) struct Group {
    /// The records' value of the field that partition keys are taken from, if there is one.
    pub(crate) partition_key: Option<String>,
    aggregate: Aggregate,
    pub(crate) replies: Vec<Reply>,
    due: Instant,
}

impl Group {
    /// The JSON of all the records.
    pub(crate) fn into_plaintext(self) -> (Vec<u8>, Vec<Reply>) {
        (self.aggregate.into_plaintext(), self.replies)
    }

    /// Returns the job if the group has no capacity for its record.
    fn try_add(&mut self, Job { record, reply }: Job) -> Result<(), Job> {
        match self.aggregate.try_push(record) {
            Ok(()) => {
                self.replies.push(reply);
                Ok(())
            }
            Err(record) => Err(Job { record, reply }),
        }
    }
}

/// The groups that wait for more records: at most one of each partition key.
pub(crate) struct Groups {
    /// Bytes of JSON in one message; zero for one record per message.
    limit: usize,
    /// How long a group waits.
    linger: Duration,
    open: HashMap<Option<String>, Group>,
    /// Partition keys of the groups, with when each is due, in that order.
    due: VecDeque<(Instant, Option<String>)>,
}

impl Groups {
    pub(crate) fn new(limit: usize, linger: Duration) -> Self {
        Self { limit, linger, open: HashMap::new(), due: VecDeque::new() }
    }

    /// Takes a record, and gives the group that is complete without it, if there is one. With one
    /// record per message that is the record's own.
    pub(crate) fn add(&mut self, partition_key: Option<String>, job: Job) -> Option<Group> {
        let job = match self.open.get_mut(&partition_key) {
            Some(group) => match group.try_add(job) {
                Ok(()) => return None,
                Err(job) => job,
            },
            None => job,
        };
        let group = Group {
            partition_key: partition_key.clone(),
            aggregate: Aggregate::new(job.record, self.limit),
            replies: vec![job.reply],
            due: Instant::now() + self.linger,
        };
        if self.limit == 0 {
            return Some(group);
        }
        self.due.push_back((group.due, partition_key.clone()));
        self.open.insert(partition_key, group)
    }

    /// When the next group has waited long enough.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }

    /// The groups that have waited long enough.
    pub(crate) fn take_due(&mut self) -> Vec<Group> {
        let now = Instant::now();
        let mut groups = Vec::new();
        while let Some((due, key)) = self.due.pop_front_if(|(due, _)| *due <= now) {
            // It may have been completed, and another begun under the same key.
            if self.open.get(&key).is_some_and(|group| group.due == due) {
                groups.extend(self.open.remove(&key));
            }
        }
        groups
    }

    /// All groups, for want of more records, in the order in which they were begun.
    pub(crate) fn take_all(&mut self) -> Vec<Group> {
        let due = std::mem::take(&mut self.due);
        due.into_iter().filter_map(|(_, key)| self.open.remove(&key)).collect()
    }
}
