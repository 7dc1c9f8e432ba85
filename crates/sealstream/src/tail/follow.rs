//! From the shards of a stream to the output.

use std::future::pending;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use record_cipher::{CipherError, CmmStats};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::stream::kinesis::{Kinesis, Position, ReadError, Record, Shard, StreamApi};
use crate::stream::reader::Reader;
use crate::tail::args::TailArgs;
use crate::tail::decode::{DecodeError, Decoder};
use crate::tail::diagnostic::Diagnostic;
use crate::tail::error::TailError;
use crate::tail::printer::{Ended, Lines, Printer};
use crate::tail::shards::Shards;

/// Answers of Kinesis, each of up to 10 MiB, that are in memory at once, whatever the number of
/// shards.
const PAGES: usize = 4;
/// How long what was decrypted may take to be written when everything else has ended.
const GRACE: Duration = Duration::from_secs(1);

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]

pub(crate) struct Summary {
    /// Records that were printed.
    pub(crate) records: u64,
    /// Kinesis records that were not, each of which was the subject of a [`Diagnostic`].
    pub(crate) unreadable: u64,
    /// Shards that were read.
    pub(crate) shards: usize,
    /// How many Kinesis records asked for a data key, and how often AWS KMS was asked for one.
    pub(crate) data_keys: CmmStats,
    /// Whether the end was that nobody reads the output any more.
    pub(crate) output_closed: bool,
}

/// Prints the records of a stream to `output`, one JSON object a line, until `stop` is cancelled or
/// the settings say that it is enough. `notify` is told what a user wants to know meanwhile.
///
/// The records of a shard are printed in their order, and after those of the shards that it was
/// split or merged from.
///
/// # Errors
/// [`TailError`]; one record that cannot be decrypted is none.
pub(crate) async fn tail(
    settings: &TailArgs,
    config: &SdkConfig,
    stop: &CancellationToken,
    output: impl Write + Send + 'static,
    notify: impl Fn(Diagnostic) + Send + Sync + 'static,
) -> Result<Summary, TailError> {
    let region = config.region().ok_or(TailError::NoRegion)?.to_string();
    let decoder = Decoder {
        cipher: settings.cipher(config).await?,
        stream: settings.stream.clone(),
        with_metadata: settings.with_metadata,
    };
    let work = Arc::new(Work {
        api: Arc::new(Kinesis::new(config, settings.stream.clone())),
        settings: settings.clone(),
        region,
        decoder,
        unreadable: AtomicU64::new(0),
        notify: Box::new(notify),
        room: Arc::new(Semaphore::new(PAGES)),
    });
    #[expect(clippy::disallowed_methods, reason = "the clock is given to the logic from here")]
    let from = settings.since.position(SystemTime::now());
    let (printer, lines) = Printer::start(output, settings.count);
    work.run(from, printer, lines, stop.child_token()).await
}

/// What all shards' tasks share.
struct Work {
    api: Arc<dyn StreamApi>,
    settings: TailArgs,
    region: String,
    decoder: Decoder,
    unreadable: AtomicU64,
    notify: Box<dyn Fn(Diagnostic) + Send + Sync>,
    room: Arc<Semaphore>,
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
            // The printer has ended, and says how.
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
            data_keys: self.decoder.data_key_stats(),
        })
    }

    /// Ends when every shard is closed or, if they are not to be followed, has been read.
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
            if self.settings.shard.is_none() {
                shards.add(children);
            } else if !children.is_empty() {
                let children = children.into_iter().map(|child| child.id).collect();
                (self.notify)(Diagnostic::Closed { shard, children });
            }
        }
    }

    async fn first_shards(&self, from: Position) -> Result<Vec<Shard>, TailError> {
        let mut shards = self.api.shards(from).await.map_err(|error| match error {
            ReadError::Passing(reason) | ReadError::Refused(reason) => self.stream_error(reason),
            ReadError::Expired => self.stream_error("the list of shards took too long".into()),
        })?;
        let Some(shard) = &self.settings.shard else { return Ok(shards) };
        let ids: Vec<_> = shards.iter().map(|shard| shard.id.clone()).collect();
        shards.retain(|candidate| candidate.id == *shard);
        if shards.is_empty() {
            let (shard, since) = (shard.clone(), self.settings.since);
            return Err(TailError::NoSuchShard { shard, since, shards: ids.join(", ") });
        }
        Ok(shards)
    }

    /// Prints the records of a shard to its end, or to its newest record if it is not to be followed.
    /// Returns the shards that it was split or merged into.
    async fn read_shard(
        self: Arc<Self>,
        shard: String,
        position: Position,
        lines: Sender<Lines>,
    ) -> Result<(String, Vec<Shard>), TailError> {
        let waiting = |reason| (self.notify)(Diagnostic::Waiting { shard: shard.clone(), reason });
        let mut reader = Reader::new(self.api.clone(), shard.clone(), position, self.room.clone());
        loop {
            let read = reader.next(&waiting).await;
            let (page, _room) = read.map_err(|reason| self.stream_error(reason))?;
            for record in &page.records {
                self.print(&shard, record, &lines).await?;
            }
            if page.next.is_none() || (page.is_last && self.settings.no_follow) {
                return Ok((shard, page.children));
            }
        }
    }

    async fn print(
        &self,
        shard: &str,
        record: &Record,
        lines: &Sender<Lines>,
    ) -> Result<(), TailError> {
        let waiting = |error: &CipherError| {
            (self.notify)(Diagnostic::Waiting { shard: shard.into(), reason: error.to_string() });
        };
        match self.decoder.lines(shard, record, waiting).await {
            Ok(decoded) => {
                if lines.send(decoded).await.is_err() {
                    // The printer has ended, which ends this task too.
                    pending::<()>().await;
                }
            }
            Err(DecodeError::Cipher(error)) if error.is_access_denied() => {
                return Err(self.not_permitted());
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

    fn stream_error(&self, reason: String) -> TailError {
        let (stream, region) = (self.settings.stream.clone(), self.region.clone());
        TailError::Stream { stream, region, reason }
    }

    fn not_permitted(&self) -> TailError {
        let keys: Vec<_> = self.settings.cmk_arn.iter().map(ToString::to_string).collect();
        let (stream, region) = (self.settings.stream.clone(), self.region.clone());
        TailError::NotPermitted { stream, region, keys: keys.join(", ") }
    }
}

/// Once it has to end, it ends, even if nobody reads what is written.
async fn grace(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(GRACE).await;
}
