//! Decrypts records in the order of the batch.

use std::fmt;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesOrdered, StreamExt};
use record_cipher::{CipherError, CipherStats, RecordCipher, StreamName};
use tokio::time::{Instant, timeout_at};

use crate::event::EventRecord;
use crate::failure::{Failures, Reason};
use crate::mistake::Mistake;
use crate::schema::{BadMember, Entry, Schema};

/// Maximum bytes of plaintext in a window.
const MAX_WINDOW_BYTES: usize = 32 << 20;
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
        Self { decrypt, failed_before: failed_calls(decrypt), allowed, spent: 0 }
    }

    /// Takes note of a record that could not be decrypted.
    fn note_failure(&mut self) {
        self.spent = failed_calls(self.decrypt).saturating_sub(self.failed_before);
    }

    /// Returns `true` if another record may be decrypted beside `in_flight` others.
    fn allows(&self, in_flight: usize) -> bool {
        let reserved = FAILING_CALLS_PER_RECORD * (in_flight as u64 + 1);
        self.spent + reserved <= self.allowed
    }
}

fn failed_calls(decrypt: &dyn Decrypt) -> u64 {
    decrypt.stats().kms.values().map(|region| region.errors).sum()
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

struct Read {
    plaintext_bytes: usize,
    entries: Vec<Result<Entry, BadMember>>,
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
        let (mut started, mut bytes) = (start, 0);
        loop {
            while started < records.len()
                && reads.len() < READS_IN_FLIGHT
                && budget.allows(reads.len())
            {
                reads.push_back(self.read_one(&records[started]).boxed());
                started += 1;
            }
            let until = if window.end == start { until.first } else { until.others };
            // Checked here too: a read that is ready is not interrupted by a timeout.
            if Instant::now() >= until {
                break;
            }
            match timeout_at(until, reads.next()).await {
                Ok(Some(read)) => {
                    bytes += read.as_ref().map_or(0, |read| read.plaintext_bytes);
                    if bytes > MAX_WINDOW_BYTES && window.end > start {
                        break;
                    }
                    if matches!(read, Err(Reason::Cipher(_))) {
                        budget.note_failure();
                    }
                    window.add(read, failures);
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

    async fn read_one(&self, record: &EventRecord) -> Result<Read, Reason> {
        let stream = StreamName::from_arn(record.stream_arn.as_deref().unwrap_or_default())?;
        let data = record.data.as_deref().ok_or(Reason::NoData)?;
        let plaintext = self.decrypt.decrypt(&stream, data.to_vec()).await;
        let plaintext = plaintext.map_err(|error| refused(error, data))?;
        let entries = self.schema.entries(&plaintext, &record.sequence_number)?;
        Ok(Read { plaintext_bytes: plaintext.len(), entries })
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
    fn add(&mut self, read: Result<Read, Reason>, failures: &mut Failures) {
        let record = self.end;
        self.end += 1;
        match read {
            Err(reason) => failures.add(record, None, reason),
            Ok(read) => {
                for entry in read.entries {
                    match entry {
                        Ok(entry) => self.entries.push((record, entry)),
                        Err(bad) => failures.add(record, bad.member, bad.reason),
                    }
                }
            }
        }
    }
}
