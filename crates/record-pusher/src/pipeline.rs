//! The way from records to the queues of the Regions.
//!
//! One task takes the records in the order in which they were put, so that those of a partition key
//! reach every Region's queue in that order, whoever put them and however long each takes to encrypt.

use std::sync::Arc;
use std::thread::available_parallelism;

use futures::future::OptionFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use record_cipher::{RecordCipher, RegionName, StreamName};
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use uuid::Uuid;

use crate::groups::{Group, Groups, Job};
use crate::kinesis::{DEFAULT_RECORD_LIMIT, Entry};
use crate::outcome::PushError;
use crate::receipt::{Destination, Reply, receipts, tell};
use crate::region::Region;
use crate::stats::RecordCounters;

/// Blocks of records that wait to be taken up.
pub(crate) const MAX_BLOCKS: usize = 16;

pub(crate) struct Pipeline {
    pub(crate) cipher: RecordCipher,
    pub(crate) stream: StreamName,
    /// The field that partition keys are taken from; `None` for a fresh one for each message.
    pub(crate) partition_key_field: Option<String>,
    pub(crate) groups: Groups,
    pub(crate) regions: Arc<[Region]>,
    pub(crate) destinations: Arc<[Destination]>,
    pub(crate) counters: Arc<RecordCounters>,
}

/// A group that was encrypted, or could not be.
struct Sealed {
    replies: Vec<Reply>,
    result: Result<(Entry, Vec<RegionName>), PushError>,
}

impl Drop for Pipeline {
    /// Also when the pusher is stopped: what no queue takes any more is dropped there, and so its
    /// receipts say what became of it.
    fn drop(&mut self) {
        self.flush();
    }
}

impl Pipeline {
    pub(crate) async fn run(mut self, mut blocks: mpsc::Receiver<Vec<Job>>) {
        let at_once = available_parallelism().map_or(1, Into::into);
        let mut jobs = Vec::new().into_iter();
        let mut sealing = FuturesOrdered::new();
        let mut is_open = true;
        while is_open || !sealing.is_empty() {
            while sealing.len() < at_once
                && let Some(job) = jobs.next()
            {
                sealing.extend(self.group(job).map(|group| self.seal(group)));
            }
            if jobs.len() == 0 && sealing.is_empty() {
                self.flush();
            }
            let due = self.groups.next_due().map(sleep_until);
            let has_room = sealing.len() < at_once;
            tokio::select! {
                // What is encrypted goes on first, so that memory is freed before more is taken.
                biased;
                Some(sealed) = sealing.next() => self.queue(sealed).await,
                Some(()) = OptionFuture::from(due), if has_room => {
                    sealing.extend(self.groups.take_due().into_iter().map(|group| self.seal(group)));
                }
                block = blocks.recv(), if is_open && has_room => match block {
                    Some(block) => jobs = block.into_iter(),
                    None => {
                        is_open = false;
                        sealing.extend(self.groups.take_all().into_iter().map(|group| self.seal(group)));
                    }
                },
            }
        }
    }

    fn flush(&self) {
        self.regions.iter().for_each(|region| region.batcher.flush());
    }

    /// The group that is complete with or without this record, if there is one.
    fn group(&mut self, job: Job) -> Option<Group> {
        let Some(field) = &self.partition_key_field else { return self.groups.add(None, job) };
        match job.record.partition_key(field) {
            Some(key) => self.groups.add(Some(key), job),
            None => {
                let error = PushError::PartitionKey { field: field.clone() };
                self.refuse(vec![job.reply], error);
                None
            }
        }
    }

    fn seal(&self, group: Group) -> impl Future<Output = Sealed> + use<> {
        let (cipher, stream) = (self.cipher.clone(), self.stream.clone());
        async move {
            let key = group.partition_key.clone();
            let (plaintext, replies) = group.into_plaintext();
            let encrypted = cipher.encrypt(&stream, plaintext).await;
            let result = encrypted.map_err(PushError::from).map(|encrypted| {
                let is_alone = key.is_none();
                let partition_key = key.unwrap_or_else(|| Uuid::new_v4().simple().to_string());
                let entry = Entry { partition_key, is_alone, data: encrypted.message };
                (entry, encrypted.missing_regions)
            });
            Sealed { replies, result }
        }
    }

    async fn queue(&self, Sealed { replies, result }: Sealed) {
        let checked = match result {
            Ok((entry, missing)) => self.check_size(entry.size()).await.map(|()| (entry, missing)),
            Err(error) => Err(error),
        };
        match checked {
            Ok((entry, missing)) => self.queue_entry(Arc::new(entry), &missing, replies).await,
            Err(error) => self.refuse(replies, error),
        }
    }

    fn refuse(&self, replies: Vec<Reply>, error: PushError) {
        self.counters.refused(replies.len());
        tell(replies, Err(error));
    }

    async fn queue_entry(&self, entry: Arc<Entry>, missing: &[RegionName], replies: Vec<Reply>) {
        let receipts = receipts(&entry, &self.destinations, replies);
        for (region, receipt) in self.regions.iter().zip(receipts) {
            if !region.batcher.has_room_for(&entry) {
                // This waits. What the other Regions were given must not wait with it, nor what
                // keeps the room.
                self.flush();
            }
            match missing.contains(&region.name) {
                true => receipt.not_encrypted(),
                false => region.batcher.put(entry.clone(), receipt).await,
            }
        }
    }

    /// Refuses a record that does not fit into the stream of a Region. The streams are asked only for
    /// records that are larger than every stream takes.
    async fn check_size(&self, size: usize) -> Result<(), PushError> {
        if size <= DEFAULT_RECORD_LIMIT {
            return Ok(());
        }
        for Region { name, api, .. } in self.regions.iter() {
            let region = name.clone();
            match api.record_limit().await {
                Ok(limit) if size <= limit => {}
                Ok(limit) => return Err(PushError::TooLarge { size, limit, region }),
                Err(error) => {
                    return Err(PushError::UnknownLimit { size, region, code: error.code });
                }
            }
        }
        Ok(())
    }
}
