//! Decrypts records in the order of the batch.

use std::fmt;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesOrdered, StreamExt};
use record_cipher::{CipherError, CipherStats, RecordCipher, StreamName};
use tokio::time::{Instant, timeout_at};

use crate::event::EventRecord;
use crate::failure::{Failures, Reason};
use crate::items_memory::items_memory;
use crate::mistake::Mistake;
use crate::schema::{BadMember, Entry, Schema};

/// Maximum bytes of plaintext in a window, after decompression.
const MAX_WINDOW_BYTES: usize = 32 << 20;
/// Maximum memory of a window's items, in bytes. Lists of small numbers take forty times the memory of
/// their JSON.
const MAX_WINDOW_MEMORY: usize = 64 << 20;
/// Records that are decrypted at once.
const READS_IN_FLIGHT: usize = 16;
/// Failing calls to KMS that a batch may make for each of its records.
const FAILING_CALLS_PER_RECORD: u64 = 2;

/// Decrypts messages that came from a stream.
pub trait Decrypt: Send + Sync + fmt::Debug {
    /// Decrypts a message that came from `stream`.
    ///
    /// # Errors
    /// [`CipherError`]; its [`kind`](CipherError::kind) says who must act.
    fn decrypt<'a>(
        &'a self,
        stream: &'a StreamName,
        message: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CipherError>>;

    /// Returns the number of requests to AWS KMS that failed so far.
    fn failed_kms_requests(&self) -> u64;

    /// Returns the counters of the cipher.
    fn stats(&self) -> CipherStats;
}

impl Decrypt for RecordCipher {
    fn decrypt<'a>(
        &'a self,
        stream: &'a StreamName,
        message: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CipherError>> {
        self.decrypt(stream, message).boxed()
    }

    fn failed_kms_requests(&self) -> u64 {
        self.failed_kms_requests()
    }

    fn stats(&self) -> CipherStats {
        self.stats()
    }
}

/// Bounds the calls to KMS that fail, because whoever may put to the stream can cause them.
pub(crate) struct KmsBudget<'a> {
    decrypt: &'a dyn Decrypt,
    failed_before: u64,
    allowed: u64,
    spent: u64,
}

impl<'a> KmsBudget<'a> {
    pub(crate) fn new(decrypt: &'a dyn Decrypt, records: usize) -> Self {
        let allowed = FAILING_CALLS_PER_RECORD.saturating_mul(records as u64);
        Self { decrypt, failed_before: decrypt.failed_kms_requests(), allowed, spent: 0 }
    }

    /// Takes note of a record that could not be decrypted.
    fn note_failure(&mut self) {
        self.spent = self.decrypt.failed_kms_requests().saturating_sub(self.failed_before);
    }

    /// Returns `true` if another record may be decrypted beside `in_flight` others.
    fn allows(&self, in_flight: usize) -> bool {
        let reserved = FAILING_CALLS_PER_RECORD * (in_flight as u64 + 1);
        self.spent + reserved <= self.allowed
    }
}

/// When to stop reading a window.
pub(crate) struct ReadUntil {
    /// For its first record, which decides whether the batch makes progress.
    pub(crate) first: Instant,
    /// For the others.
    pub(crate) others: Instant,
}

/// Records that were decrypted one after the other.
pub(crate) struct Window {
    /// Index of the first record that is not in the window.
    pub(crate) end: usize,
    pub(crate) entries: Vec<(usize, Entry)>,
    /// Why the window ends where it does, if no other may follow.
    pub(crate) stopped: Option<Reason>,
}

/// Decrypts records and converts them to items.
pub(crate) struct Reader<'a> {
    pub(crate) decrypt: &'a dyn Decrypt,
    pub(crate) schema: &'a Schema,
}

/// What a window holds.
#[derive(Default)]
struct Load {
    plaintext_bytes: usize,
    memory: usize,
}

impl Load {
    fn add(&mut self, plaintext: &[u8]) {
        self.plaintext_bytes += plaintext.len();
        self.memory += items_memory(plaintext);
    }

    fn is_too_much(&self) -> bool {
        self.plaintext_bytes > MAX_WINDOW_BYTES || self.memory > MAX_WINDOW_MEMORY
    }
}

impl Reader<'_> {
    /// Reads the records from `start` on until the window is full or the time is up, and adds the
    /// failures of those that cannot be written.
    pub(crate) async fn read(
        &self,
        records: &[EventRecord],
        start: usize,
        until: ReadUntil,
        budget: &mut KmsBudget<'_>,
        failures: &mut Failures,
    ) -> Window {
        let mut window = Window { end: start, entries: Vec::new(), stopped: None };
        let mut reads = FuturesOrdered::new();
        let (mut started, mut load) = (start, Load::default());
        loop {
            while started < records.len()
                && reads.len() < READS_IN_FLIGHT
                && budget.allows(reads.len())
            {
                reads.push_back(self.decrypt(&records[started]).boxed());
                started += 1;
            }
            let until = if window.end == start { until.first } else { until.others };
            // Checked here too: a read that is ready is not interrupted by a timeout.
            if Instant::now() >= until {
                break;
            }
            match timeout_at(until, reads.next()).await {
                Ok(Some(plaintext)) => {
                    load.add(plaintext.as_deref().unwrap_or_default());
                    if load.is_too_much() && window.end > start {
                        break;
                    }
                    if matches!(plaintext, Err(Reason::Cipher(_))) {
                        budget.note_failure();
                    }
                    // One after the other: items take more memory than plaintexts.
                    let number = &records[window.end].sequence_number;
                    let entries =
                        plaintext.and_then(|plaintext| self.schema.entries(&plaintext, number));
                    window.add(entries, failures);
                }
                Ok(None) => {
                    let is_done = window.end == records.len();
                    window.stopped = (!is_done).then_some(Reason::KmsBudget);
                    break;
                }
                Err(_) => break,
            }
        }
        window
    }

    async fn decrypt(&self, record: &EventRecord) -> Result<Vec<u8>, Reason> {
        let stream = StreamName::from_arn(record.stream_arn.as_deref().unwrap_or_default())?;
        let data = record.data.as_deref().ok_or(Reason::NoData)?;
        let plaintext = self.decrypt.decrypt(&stream, data.to_vec()).await;
        plaintext.map_err(|error| refused(error, data))
    }
}

/// Data that is not a message may be something that is easily recognised.
fn refused(error: CipherError, data: &[u8]) -> Reason {
    match (&error, Mistake::recognise(data)) {
        (CipherError::Message(_), Some(mistake)) => Reason::Mistake(mistake),
        _ => Reason::Cipher(error),
    }
}

impl Window {
    /// Adds the next record.
    fn add(
        &mut self,
        entries: Result<Vec<Result<Entry, BadMember>>, Reason>,
        failures: &mut Failures,
    ) {
        let record = self.end;
        self.end += 1;
        match entries {
            Err(reason) => failures.add(record, None, reason),
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok(entry) => self.entries.push((record, entry)),
                        Err(bad) => failures.add(record, bad.member, bad.reason),
                    }
                }
            }
        }
    }
}
