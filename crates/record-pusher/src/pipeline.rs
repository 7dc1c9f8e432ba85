//! Moves records from callers to the per-Region queues.
//!
//! A single task receives records in submission order, encrypts several messages at a time, and
//! queues them in that same order. This keeps records with the same partition key in order in every
//! Region, regardless of which caller submitted them and how long each took to encrypt.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use std::vec;

use aws_outcome::Failure;
use futures::future::{BoxFuture, FutureExt, OptionFuture};
use futures::stream::{FuturesOrdered, StreamExt};
use record_cipher::aggregate::parse_plaintext;
use record_cipher::{CipherError, ErrorKind, Record, RecordCipher, RegionName, StreamName};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::aggregator::{Aggregator, Group, QueuedRecord};
use crate::delivery::{Callers, Leftovers, Reply, refuse};
use crate::entry::Entry;
use crate::item_key::ItemKey;
use crate::kinesis::DEFAULT_RECORD_LIMIT;
use crate::outage::{Outages, Service};
use crate::outcome::PushError;
use crate::pending_delivery::{PendingDelivery, pauses};
use crate::region::Region;
use crate::stats::RecordCounters;

/// Blocks of records that wait for the pipeline.
pub(crate) const MAX_BLOCKS: usize = 16;
/// Time for encrypting what was accepted after the pusher is stopped. With a data key in the cache
/// it is ample, and the messages can then be kept.
const ENCRYPTION_GRACE: Duration = Duration::from_secs(1);

/// What callers ask of the pipeline.
pub(crate) enum Submission {
    Records(Vec<QueuedRecord>),
    /// Sends what was submitted before without waiting for more.
    Flush,
}

pub(crate) struct Pipeline {
    pub(crate) encryptor: Encryptor,
    /// Field that contains the partition key; `None` for a random one for each message.
    pub(crate) partition_key_field: Option<String>,
    pub(crate) require_key: Option<ItemKey>,
    pub(crate) aggregator: Aggregator,
    /// Records that were received and not grouped yet.
    pub(crate) waiting: vec::IntoIter<QueuedRecord>,
    pub(crate) regions: Arc<[Region]>,
    pub(crate) counters: Arc<RecordCounters>,
    pub(crate) leftovers: Arc<Leftovers>,
}

/// A step that leaves the pipeline in order.
enum Step {
    Message(Box<Encrypted>),
    Flush,
}

impl Pipeline {
    /// Runs until every pusher is dropped, or for a moment after `stop`.
    pub(crate) async fn run(
        mut self,
        mut submissions: mpsc::Receiver<Submission>,
        stop: CancellationToken,
    ) {
        let stopped = async {
            stop.cancelled().await;
            sleep(ENCRYPTION_GRACE).await;
        };
        tokio::select! {
            () = self.push_all(&mut submissions, &stop) => {}
            () = stopped => {}
        }
        // Callers that submit from now on are told at once.
        submissions.close();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.for_each(|queued| self.refuse(queued, &PushError::Stopped));
        while let Ok(submission) = submissions.try_recv() {
            if let Submission::Records(records) = submission {
                records.into_iter().for_each(|queued| self.refuse(queued, &PushError::Stopped));
            }
        }
        for group in self.aggregator.take_all() {
            let plaintext = group.aggregate.into_plaintext();
            self.refuse_plaintext(&plaintext, group.replies, &PushError::Stopped);
        }
    }

    async fn push_all(
        &mut self,
        submissions: &mut mpsc::Receiver<Submission>,
        stop: &CancellationToken,
    ) {
        let at_once = available_parallelism().map_or(1, Into::into);
        let mut steps = FuturesOrdered::new();
        let (mut is_open, mut is_stopped) = (true, false);
        while is_open || !steps.is_empty() {
            while steps.len() < at_once
                && let Some(queued) = self.waiting.next()
            {
                steps.extend(self.group(queued).into_iter().map(|group| self.encrypt(group)));
            }
            if is_stopped {
                // Records that were accepted late do not linger, so that they can be encrypted yet.
                let groups = self.aggregator.take_all();
                steps.extend(groups.into_iter().map(|group| self.encrypt(group)));
            }
            let due = self.aggregator.next_due().map(sleep_until);
            let has_capacity = steps.len() < at_once;
            tokio::select! {
                // Encrypted messages go first, so that memory is freed before more is taken.
                biased;
                Some(step) = steps.next() => self.finish(step).await,
                Some(()) = OptionFuture::from(due), if has_capacity => {
                    steps.extend(self.aggregator.take_due().into_iter().map(|group| self.encrypt(group)));
                }
                () = stop.cancelled(), if !is_stopped => is_stopped = true,
                submission = submissions.recv(), if is_open && has_capacity => match submission {
                    Some(Submission::Records(records)) => self.waiting = records.into_iter(),
                    end_or_flush => {
                        is_open = end_or_flush.is_some();
                        steps.extend(self.aggregator.take_all().into_iter().map(|group| self.encrypt(group)));
                        steps.push_back(async { Step::Flush }.boxed());
                    }
                },
            }
        }
    }

    /// Adds a record to its group, and returns the groups that are complete.
    fn group(&mut self, queued: QueuedRecord) -> Vec<Group> {
        if let Some(key) = &self.require_key
            && let Err(error) = key.check(&queued.record)
        {
            self.refuse(queued, &error.into());
            return Vec::new();
        }
        let Some(field) = &self.partition_key_field else {
            return self.aggregator.add(None, queued);
        };
        match queued.record.partition_key(field) {
            Some(key) => self.aggregator.add(Some(key), queued),
            None => {
                let error = PushError::PartitionKey { field: field.clone() };
                self.refuse(queued, &error);
                Vec::new()
            }
        }
    }

    fn encrypt(&self, group: Group) -> BoxFuture<'static, Step> {
        let encryptor = self.encryptor.clone();
        let message = Unencrypted {
            plaintext: group.aggregate.into_plaintext(),
            replies: group.replies,
            counters: self.counters.clone(),
            leftovers: self.leftovers.clone(),
        };
        let (key, deadline) = (group.partition_key, group.deadline);
        async move { Step::Message(Box::new(encryptor.encrypt(message, key, deadline).await)) }
            .boxed()
    }

    async fn finish(&self, step: Step) {
        match step {
            Step::Flush => self.regions.iter().for_each(|region| region.batcher.flush()),
            Step::Message(encrypted) => {
                let Encrypted { message, deadline, result } = *encrypted;
                let checked = match result {
                    Ok((entry, missing)) => {
                        self.check_size(entry.size()).await.map(|()| (entry, missing))
                    }
                    Err(error) => Err(error),
                };
                match checked {
                    Ok((entry, missing)) => self.put(entry, &missing, message, deadline),
                    Err(error) => message.refuse(&error),
                }
            }
        }
    }

    /// Queues an entry in every Region. Does not wait, so no Region is given it alone.
    fn put(
        &self,
        entry: Entry,
        missing: &[RegionName],
        mut message: Unencrypted,
        deadline: Instant,
    ) {
        let entry = Arc::new(entry);
        let replies = std::mem::take(&mut message.replies);
        let reserved = replies.iter().map(Reply::reserved).sum();
        let callers =
            Callers::new(entry.clone(), self.regions.clone(), self.leftovers.clone(), replies);
        for (index, region) in self.regions.iter().enumerate() {
            let counters = region.counters.clone();
            let pending = PendingDelivery::new(
                entry.clone(),
                deadline,
                reserved,
                counters,
                index,
                callers.clone(),
            );
            match missing.contains(&region.name) {
                true => pending.not_encrypted(),
                false => region.batcher.put(pending),
            }
        }
    }

    fn refuse(&self, queued: QueuedRecord, error: &PushError) {
        self.counters.refused(1);
        refuse(&self.leftovers, [queued.record], vec![queued.reply], error);
    }

    fn refuse_plaintext(&self, plaintext: &[u8], replies: Vec<Reply>, error: &PushError) {
        self.counters.refused(replies.len());
        refuse(&self.leftovers, records_of(plaintext), replies, error);
    }

    /// Refuses a message that does not fit into the stream of a Region. The streams are asked for
    /// their limit only for messages that are larger than every stream accepts.
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

/// A plaintext and its callers, who are told `Stopped` if it is dropped with them.
struct Unencrypted {
    plaintext: Vec<u8>,
    /// Empty once somebody else is to tell them.
    replies: Vec<Reply>,
    counters: Arc<RecordCounters>,
    leftovers: Arc<Leftovers>,
}

impl Unencrypted {
    fn refuse(mut self, error: &PushError) {
        self.tell(error);
    }

    fn tell(&mut self, error: &PushError) {
        let replies = std::mem::take(&mut self.replies);
        if !replies.is_empty() {
            self.counters.refused(replies.len());
            refuse(&self.leftovers, records_of(&self.plaintext), replies, error);
        }
    }
}

impl Drop for Unencrypted {
    fn drop(&mut self) {
        self.tell(&PushError::Stopped);
    }
}

struct Encrypted {
    message: Unencrypted,
    deadline: Instant,
    /// The entry, and the Regions that cannot decrypt it.
    result: Result<(Entry, Vec<RegionName>), PushError>,
}

/// Encrypts messages, and retries until their deadline.
#[derive(Clone)]
pub(crate) struct Encryptor {
    pub(crate) cipher: RecordCipher,
    pub(crate) stream: StreamName,
    pub(crate) outages: Arc<Outages>,
}

impl Encryptor {
    async fn encrypt(
        self,
        message: Unencrypted,
        partition_key: Option<String>,
        deadline: Instant,
    ) -> Encrypted {
        let mut latest = None;
        let encrypted = tokio::select! {
            biased;
            encrypted = self.attempts(&message.plaintext, deadline, &mut latest) => encrypted,
            () = self.outages.passed(deadline) => None,
        };
        let result = match encrypted {
            Some(encrypted) => {
                let unordered = partition_key.is_none();
                let key = partition_key.unwrap_or_else(|| Uuid::new_v4().simple().to_string());
                let entry = Entry { partition_key: key, unordered, data: encrypted.message };
                Ok((entry, encrypted.missing_regions))
            }
            None => Err(latest.map_or(PushError::Expired, PushError::from)),
        };
        Encrypted { message, deadline, result }
    }

    /// Returns `None`, with the latest error in `latest`, if no further attempt can help in time.
    async fn attempts(
        &self,
        plaintext: &[u8],
        deadline: Instant,
        latest: &mut Option<CipherError>,
    ) -> Option<record_cipher::Encrypted> {
        let mut pauses = pauses();
        while !self.outages.has_passed(deadline) {
            match self.cipher.encrypt(&self.stream, plaintext.to_vec()).await {
                Ok(encrypted) => {
                    self.outages.works(&Service::Kms);
                    return Some(encrypted);
                }
                Err(error) => {
                    let pause = match (self.may_retry(&error), error.kind()) {
                        (false, _) => None,
                        // An outage may take longer than the pause, but no time passes in it.
                        (true, ErrorKind::Operator) => Some(pauses.next_pause()),
                        (true, _) => pauses.next_within(self.outages.left(deadline)),
                    };
                    *latest = Some(error);
                    sleep(pause?).await;
                }
            }
        }
        None
    }

    fn may_retry(&self, error: &CipherError) -> bool {
        match error.kind() {
            ErrorKind::Retryable => true,
            ErrorKind::Operator => {
                let cause = match error {
                    CipherError::Kms(error) => error.failure().map(Failure::cause),
                    _ => None,
                };
                self.outages.waits_out(&Service::Kms, &error.to_string(), cause)
            }
            ErrorKind::Record => false,
        }
    }
}

/// Returns the records of a plaintext that this crate has written.
fn records_of(plaintext: &[u8]) -> Vec<Record> {
    let members = parse_plaintext(plaintext).unwrap_or_default();
    members
        .into_iter()
        .filter_map(|member| Record::from_json(member.ok()?.json.get().as_bytes()).ok())
        .collect()
}
