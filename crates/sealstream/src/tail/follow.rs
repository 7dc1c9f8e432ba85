//! From the shards of a stream to the output.

use std::future::pending;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_outcome::{Cause, Failure};
use record_cipher::{CipherError, CmmStats, ErrorKind};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::aws_failure::with_profile;
use crate::stream::kinesis::{Kinesis, Position, ReadError, Record, Shard, StreamApi};
use crate::stream::reader::Reader;
use crate::tail::args::TailArgs;
use crate::tail::decode::{DecodeError, Decoder, claimed_keys};
use crate::tail::diagnostic::Diagnostic;
use crate::tail::error::TailError;
use crate::tail::printer::{Ended, Lines, Printer};
use crate::tail::shards::Shards;

/// Pages of records, of up to 10 MiB each, in memory at once, whatever the number of shards.
const PAGES: usize = 4;
/// Time for writing decrypted records after everything else has ended.
const GRACE: Duration = Duration::from_secs(1);

/// What `sealstream tail` has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Records printed.
    pub(crate) records: u64,
    /// Kinesis records that were not printed, each with a [`Diagnostic`].
    pub(crate) unreadable: u64,
    /// Shards read.
    pub(crate) shards: usize,
    /// Shards that were deleted before they were read to their end.
    pub(crate) shards_gone: u64,
    /// Use of the data key cache.
    pub(crate) data_keys: CmmStats,
    /// Whether the reader of the output has gone.
    pub(crate) output_closed: bool,
}

/// Prints the records of a stream to `output`, one JSON object per line, until `stop` is cancelled or
/// as much is read as `args` say. Messages for the user go to `notify`.
///
/// The records of a shard are printed in order, after those of its parent shards.
///
/// # Errors
/// [`TailError`]. A record that cannot be decrypted is a [`Diagnostic`] instead.
pub(crate) async fn tail(
    args: &TailArgs,
    (config, region): (SdkConfig, String),
    stop: &CancellationToken,
    output: impl Write + Send + 'static,
    notify: impl Fn(Diagnostic) + Send + Sync + 'static,
) -> Result<Summary, TailError> {
    let stream = &args.stream.stream;
    let decoder = Decoder {
        cipher: args.cipher(&config).await?,
        stream: stream.clone(),
        with_metadata: args.with_metadata,
    };
    let work = Arc::new(Work {
        api: Arc::new(Kinesis::new(&config, stream.clone())),
        args: args.clone(),
        region,
        decoder,
        has_decrypted: AtomicBool::new(false),
        unreadable: AtomicU64::new(0),
        shards_gone: AtomicU64::new(0),
        notify: Box::new(notify),
        pages: Arc::new(Semaphore::new(PAGES)),
    });
    #[expect(clippy::disallowed_methods, reason = "the only place where tail gets its clock")]
    let from = args.since.position(SystemTime::now());
    let (printer, lines) = Printer::start(output, args.count);
    work.run(from, printer, lines, stop.child_token()).await
}

/// Shared by the tasks of all shards.
struct Work {
    api: Arc<dyn StreamApi>,
    args: TailArgs,
    region: String,
    decoder: Decoder,
    has_decrypted: AtomicBool,
    unreadable: AtomicU64,
    shards_gone: AtomicU64,
    notify: Box<dyn Fn(Diagnostic) + Send + Sync>,
    pages: Arc<Semaphore>,
}

impl Work {
    async fn run(
        self: Arc<Self>,
        from: Position,
        mut printer: Printer,
        lines: Sender<Lines>,
        stop: CancellationToken,
    ) -> Result<Summary, TailError> {
        let mut shards = Shards::default();
        let read = tokio::select! {
            read = self.read(from, &mut shards, &lines) => read,
            // The printer has ended.
            () = lines.closed() => Ok(()),
            () = stop.cancelled() => Ok(()),
        };
        drop(lines);
        if read.is_err() {
            stop.cancel();
        }
        let printed = tokio::select! {
            ended = &mut printer.ended => ended.map_err(io::Error::other).flatten().map(Some),
            () = grace(&stop) => Ok(None),
        };
        read?;
        Ok(Summary {
            output_closed: printed.map_err(TailError::Output)? == Some(Ended::Closed),
            records: printer.printed(),
            unreadable: self.unreadable.load(Relaxed),
            shards: shards.taken(),
            shards_gone: self.shards_gone.load(Relaxed),
            data_keys: self.decoder.data_key_stats(),
        })
    }

    /// Ends when every shard is closed or, without following, has been read to its newest record.
    async fn read(
        self: &Arc<Self>,
        from: Position,
        shards: &mut Shards,
        lines: &Sender<Lines>,
    ) -> Result<(), TailError> {
        shards.add(self.first_shards(from.clone()).await?);
        let mut position = from;
        let mut reading = JoinSet::new();
        loop {
            for shard in shards.take_ready() {
                reading.spawn(self.clone().read_shard(shard, position.clone(), lines.clone()));
            }
            position = position.in_children();
            let Some(ended) = reading.join_next().await else { return Ok(()) };
            let (shard, children) = ended.expect("no task is aborted here, or panics")?;
            shards.finish(&shard);
            if self.args.shard.is_none() {
                shards.add(children);
            } else if !children.is_empty() {
                let children = children.into_iter().map(|child| child.id).collect();
                (self.notify)(Diagnostic::Closed { shard, children });
            }
        }
    }

    async fn first_shards(&self, from: Position) -> Result<Vec<Shard>, TailError> {
        let mut shards = self.list_shards(from).await?;
        let Some(shard) = &self.args.shard else { return Ok(shards) };
        let ids: Vec<_> = shards.iter().map(|shard| shard.id.clone()).collect();
        shards.retain(|candidate| candidate.id == *shard);
        if shards.is_empty() {
            return Err(TailError::NoSuchShard {
                stream: self.args.stream.stream.clone(),
                region: self.region.clone(),
                shard: shard.clone(),
                since: self.args.since,
                shards: ids.join(", "),
            });
        }
        Ok(shards)
    }

    async fn list_shards(&self, from: Position) -> Result<Vec<Shard>, TailError> {
        self.api.shards(from).await.map_err(|error| match error {
            ReadError::Failed(failure) => self.stream_error(failure),
            ReadError::Expired => self.stream_error(Cause::ExpiredIterator.into()),
        })
    }

    /// Prints the records of a shard to its end or, without following, to its newest record. Returns
    /// its child shards.
    async fn read_shard(
        self: Arc<Self>,
        shard: String,
        position: Position,
        lines: Sender<Lines>,
    ) -> Result<(String, Vec<Shard>), TailError> {
        let waiting = |failure: &Failure| self.report_retry(&shard, failure);
        let mut reader = Reader::new(self.api.clone(), shard.clone(), position, self.pages.clone());
        loop {
            let (page, _permit) = match reader.next(&waiting).await {
                Ok(page) => page,
                Err(failure) if failure.cause() == Cause::NotFound => {
                    let children = self.children_of_missing(&shard, failure).await?;
                    return Ok((shard, children));
                }
                Err(failure) => return Err(self.stream_error(failure)),
            };
            for record in &page.records {
                self.print(&shard, record, &lines).await?;
            }
            if page.next.is_none() || (page.is_last && self.args.no_follow) {
                return Ok((shard, page.children));
            }
        }
    }

    /// Returns the child shards of a shard that Kinesis does not find.
    ///
    /// Kinesis deletes a closed shard when its records are past the retention period, which ends this
    /// shard only.
    ///
    /// # Errors
    /// The stream itself is missing, or lists the shard.
    async fn children_of_missing(
        &self,
        shard: &str,
        failure: Failure,
    ) -> Result<Vec<Shard>, TailError> {
        let mut shards = self.list_shards(Position::TrimHorizon).await?;
        if shards.iter().any(|listed| listed.id == shard) {
            return Err(self.stream_error(failure));
        }
        self.shards_gone.fetch_add(1, Relaxed);
        (self.notify)(Diagnostic::Gone { shard: shard.to_owned() });
        shards.retain(|listed| listed.parents.iter().any(|parent| parent == shard));
        Ok(shards)
    }

    async fn print(
        &self,
        shard: &str,
        record: &Record,
        lines: &Sender<Lines>,
    ) -> Result<(), TailError> {
        let waiting = |error: &CipherError| self.report_retry(shard, error);
        match self.decoder.lines(shard, record, waiting).await {
            Ok(decoded) => {
                self.has_decrypted.store(true, Relaxed);
                if lines.send(decoded).await.is_err() {
                    // The printer has ended, which ends this task too.
                    pending::<()>().await;
                }
            }
            Err(DecodeError::Cipher(error)) if self.concerns_every_record(&error) => {
                return Err(self.cipher_error(error, record));
            }
            Err(error) => {
                self.unreadable.fetch_add(1, Relaxed);
                (self.notify)(Diagnostic::Unreadable {
                    shard: shard.to_owned(),
                    sequence_number: record.sequence_number.clone(),
                    reason: error.to_string(),
                });
            }
        }
        Ok(())
    }

    fn report_retry(&self, shard: &str, reason: &dyn ToString) {
        let (shard, reason) = (shard.to_owned(), reason.to_string());
        (self.notify)(Diagnostic::Retrying { shard, reason });
    }

    /// A first record under another key means that the wrong key was given. After a record that could
    /// be decrypted, it is that record's own fault.
    fn concerns_every_record(&self, error: &CipherError) -> bool {
        let has_wrong_key = *error == CipherError::NoUsableKey && !self.has_decrypted.load(Relaxed);
        has_wrong_key || error.kind() == ErrorKind::Operator
    }

    fn stream_error(&self, failure: Failure) -> TailError {
        let (stream, region) = (self.args.stream.stream.clone(), self.region.clone());
        TailError::Stream { stream, region, failure }
    }

    fn cipher_error(&self, error: CipherError, record: &Record) -> TailError {
        let (stream, region) = (self.args.stream.stream.clone(), self.region.clone());
        if error == CipherError::NoUsableKey {
            let used = claimed_keys(&record.data).join(", ");
            return TailError::WrongKey { stream, region, used };
        }
        let error = with_profile(error, CipherError::with_profile);
        let keys: Vec<_> = self.args.kms_key.iter().map(ToString::to_string).collect();
        TailError::Cipher { stream, region, keys: keys.join(", "), error }
    }
}

/// Ends when decrypted records have had their time to be written, even if nobody reads them.
async fn grace(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(GRACE).await;
}
