//! `sealstream redrive`: puts quarantined records through record-consumer again.

mod document;
mod function;
mod parts;
mod quarantine;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_outcome::{Class, Failure};
use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use record_cipher::RegionName;
use tokio_util::sync::CancellationToken;

use crate::aws_failure;
use crate::exit_code::{CommandError, ExitCode};
use crate::output::{self, count};
use crate::shutdown::Shutdown;
use crate::stream::args::load_config;
use document::{Document, sequence_number};
use function::{Function, InvokeError};
use parts::Part;
use quarantine::{Quarantine, ReadError};

/// Shards that are redriven at once. The documents of a shard keep their order.
const SHARDS_AT_ONCE: usize = 8;
/// Documents of a shard that are read or deleted at once.
const DOCUMENTS_AT_ONCE: usize = 16;
/// Documents of a shard that are held in memory.
const CHUNK: usize = 100;
/// Time that invocations have to end after a signal. They may last for 15 minutes.
const DRAIN: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Example:
  sealstream redrive --function sealstream-record-consumer --bucket quarantine-1a2b3c --dry-run

Bucket and function are outputs of the stack: QuarantineBucket and ConsumerFunction. The caller needs
s3:ListBucket, s3:GetObject, s3:DeleteObject, lambda:InvokeFunction and
lambda:GetFunctionConfiguration.";

/// Reprocess quarantined records
///
/// Invokes record-consumer with the records, and deletes the documents of those that it wrote. Batches
/// that Lambda skipped, which are under aws/lambda/, are sent in parts. A record that still cannot be
/// written stays in the quarantine.
///
/// Without a version attribute, a record replaces the table's item of its key, even if that is newer.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RedriveArgs {
    /// S3 bucket of the quarantine
    #[arg(long, value_name = "NAME")]
    bucket: String,

    /// Name or ARN of the function record-consumer
    #[arg(long, value_name = "NAME")]
    function: String,

    /// Only keys that begin with this: STREAM/SHARD/SEQUENCE-NUMBER.json
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// Region of both; by default AWS_REGION, or the Region of the profile
    #[arg(long, value_name = "REGION")]
    region: Option<RegionName>,

    /// List the documents with their reasons, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Redrives the documents of a quarantine.
pub(crate) async fn run(args: &RedriveArgs) -> Result<ExitCode, CommandError> {
    let (config, region) = load_config(args.region.as_ref()).await?;
    let quarantine = Quarantine::new(&config, &args.bucket);
    let function = Function::new(&config, &args.function);
    if !args.dry_run {
        check_bucket(&function, args, &region).await?;
    }
    let keys =
        quarantine.keys(args.prefix.as_deref().unwrap_or_default()).await.map_err(|failure| {
            ended(failure, &format!("cannot list bucket {} in {region}", args.bucket))
        })?;
    let shutdown = Shutdown::on_signals(DRAIN).context("cannot handle signals")?;
    let redrive =
        Redrive { quarantine, function, report: Report::new(keys.len()), stop: shutdown.draining };
    let shards = stream::iter(by_shard(keys).into_values());
    let work = async {
        if args.dry_run {
            redrive.list(shards.flat_map(stream::iter)).await
        } else {
            let redriven = shards.map(|keys| redrive.redrive_shard(keys));
            redriven.buffer_unordered(SHARDS_AT_ONCE).try_collect().await
        }
    };
    let result = tokio::select! {
        result = work => result,
        // A document stays until its records are written.
        () = shutdown.stopping.cancelled() => Ok(()),
    };
    redrive.report.finish();
    result?;
    Ok(redrive.report.exit_code(args.dry_run))
}

/// Refuses a function that stores records elsewhere: it may be any other function, whose success would
/// delete records that nobody wrote.
async fn check_bucket(
    function: &Function,
    args: &RedriveArgs,
    region: &str,
) -> Result<(), CommandError> {
    let found = function.quarantine_bucket().await.map_err(|failure| {
        ended(failure, &format!("cannot describe function {} in {region}", args.function))
    })?;
    if found.as_deref() == Some(args.bucket.as_str()) {
        return Ok(());
    }
    let found = found.unwrap_or_else(|| "none".to_owned());
    let error = anyhow!(
        "the QUARANTINE_BUCKET of function {} is {found}, not {}; nothing was done",
        args.function,
        args.bucket
    );
    let error = CommandError::new(ExitCode::Usage, error);
    Err(error.with_next_step("check --function and --bucket".to_owned()))
}

fn ended(failure: Failure, what: &str) -> CommandError {
    let (code, next_step) =
        (aws_failure::exit_code(&failure), aws_failure::next_step(failure.cause()));
    let failure = aws_failure::with_profile(failure, Failure::with_profile);
    CommandError::new(code, anyhow!("{what}: {failure}"))
        .with_next_step(next_step.map(str::to_owned))
}

/// Groups keys by their shard, and orders them by their sequence number.
fn by_shard(keys: Vec<String>) -> BTreeMap<String, Vec<String>> {
    let mut shards = BTreeMap::<String, Vec<String>>::new();
    for key in keys {
        let shard = key.rsplit_once('/').map_or("", |(shard, _)| shard).to_owned();
        shards.entry(shard).or_default().push(key);
    }
    for keys in shards.values_mut() {
        keys.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    }
    shards
}

struct Redrive {
    quarantine: Quarantine,
    function: Function,
    report: Report,
    stop: CancellationToken,
}

impl Redrive {
    /// Prints what the quarantine holds.
    async fn list(&self, keys: impl StreamExt<Item = String>) -> Result<(), CommandError> {
        let read = |key: String| async move { (self.quarantine.read(&key).await, key) };
        let mut documents = std::pin::pin!(keys.map(read).buffered(DOCUMENTS_AT_ONCE));
        while let Some((document, key)) = documents.next().await {
            match document {
                Ok(Document { content, .. }) => {
                    self.report.kept(&key, &format!("{}: {}", content.time, content.reason));
                }
                Err(error) => self.unread(&key, error)?,
            }
        }
        Ok(())
    }

    async fn redrive_shard(&self, keys: Vec<String>) -> Result<(), CommandError> {
        for chunk in keys.chunks(CHUNK) {
            if self.stop.is_cancelled() {
                break;
            }
            let read = |key: String| async move { (self.quarantine.read(&key).await, key) };
            let reads: Vec<_> = chunk.iter().cloned().map(read).collect();
            let mut reads = stream::iter(reads).buffered(DOCUMENTS_AT_ONCE);
            let mut documents = Vec::new();
            while let Some((document, key)) = reads.next().await {
                match document {
                    Ok(document) => documents.push(document),
                    Err(error) => self.unread(&key, error)?,
                }
            }
            self.redrive_documents(documents).await?;
        }
        Ok(())
    }

    /// A failure that an operator must repair ends the command.
    fn unread(&self, key: &str, error: ReadError) -> Result<(), CommandError> {
        match error {
            ReadError::Failed(failure) if failure.class() == Class::Operator => {
                Err(ended(failure, &format!("cannot read {key}")))
            }
            error => {
                self.report.unreadable(key, &error.to_string());
                Ok(())
            }
        }
    }

    async fn redrive_documents(&self, documents: Vec<Document>) -> Result<(), CommandError> {
        let mut kept = HashMap::new();
        let mut parts = VecDeque::from(Part::split(&documents));
        while let Some(part) = parts.pop_front() {
            match self.invoke(&part).await {
                Ok(failures) => {
                    for at in part.documents() {
                        if has_any(&documents[at], &failures) {
                            let reason = "it could not be written now; the function's log says why";
                            kept.entry(at).or_insert_with(|| reason.to_owned());
                        }
                    }
                }
                Err(InvokeError::NotInvoked(failure)) if failure.class() == Class::Operator => {
                    return Err(ended(failure, "cannot invoke the function"));
                }
                Err(error) => {
                    // A proxy may let less through than Lambda.
                    if error.is_too_large()
                        && let Some(halves) = part.halve()
                    {
                        halves.into_iter().rev().for_each(|half| parts.push_front(half));
                        continue;
                    }
                    for at in part.documents() {
                        kept.entry(at).or_insert_with(|| error.to_string());
                    }
                }
            }
        }
        let deletions = documents.into_iter().enumerate().map(|(at, document)| {
            let kept = kept.remove(&at);
            self.finish(document, kept)
        });
        let deletions: Vec<_> = deletions.collect();
        stream::iter(deletions).buffered(DOCUMENTS_AT_ONCE).try_collect().await
    }

    async fn invoke(&self, part: &Part) -> Result<Vec<String>, InvokeError> {
        let failures = self.function.invoke(part.event()).await?;
        match part.has_all(&failures) {
            true => Ok(failures),
            false => Err(InvokeError::Malformed),
        }
    }

    /// Deletes the document unless it is kept for a reason.
    async fn finish(&self, document: Document, kept: Option<String>) -> Result<(), CommandError> {
        let key = &document.key;
        if let Some(reason) = kept {
            self.report.kept(key, &reason);
            return Ok(());
        }
        match self.quarantine.delete(&document).await {
            Ok(true) => self.report.redriven(key),
            Ok(false) => {
                let reason = match self.quarantine.read(key).await {
                    Ok(document) => document.content.reason,
                    Err(error) => error.to_string(),
                };
                self.report.kept(key, &format!("it is in the quarantine again: {reason}"));
            }
            Err(failure) if failure.class() == Class::Operator => {
                return Err(ended(failure, &format!("cannot delete {key}")));
            }
            Err(failure) => {
                self.report.kept(key, &format!("it was written, but not deleted: {failure}"));
            }
        }
        Ok(())
    }
}

fn has_any(document: &Document, sequence_numbers: &[String]) -> bool {
    let own = document.content.records.iter().filter_map(sequence_number);
    own.into_iter().any(|own| sequence_numbers.iter().any(|number| number == own))
}

/// Prints what becomes of each document, and counts them.
struct Report {
    bar: ProgressBar,
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    documents: u64,
    redriven: u64,
    kept: u64,
    unreadable: u64,
}

impl Report {
    fn new(documents: usize) -> Self {
        let documents = documents as u64;
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} documents");
        let style = style.expect("the template is valid");
        let bar = ProgressBar::new(documents).with_style(style);
        Self { bar, counts: Mutex::new(Counts { documents, ..Counts::default() }) }
    }

    fn redriven(&self, key: &str) {
        self.add(key, "redriven", |counts| &mut counts.redriven);
    }

    fn kept(&self, key: &str, reason: &str) {
        self.add(key, reason, |counts| &mut counts.kept);
    }

    fn unreadable(&self, key: &str, reason: &str) {
        self.add(key, reason, |counts| &mut counts.unreadable);
    }

    fn add(&self, key: &str, text: &str, counter: impl FnOnce(&mut Counts) -> &mut u64) {
        *counter(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner)) += 1;
        self.bar.inc(1);
        // Nothing depends on a reader of the list.
        let _ = self.bar.suspend(|| output::print(&format!("{key}: {text}\n")));
    }

    /// Prints the summary.
    fn finish(&self) {
        self.bar.finish_and_clear();
        let Counts { documents, redriven, unreadable, .. } = self.counts();
        // After a signal, not every document was read.
        let left = documents - redriven - unreadable;
        output::diagnostic(format_args!(
            "{}: {redriven} redriven, {left} left, {unreadable} unreadable",
            count(documents, "document")
        ));
    }

    /// A list is complete although all of it is left.
    fn exit_code(&self, is_list: bool) -> ExitCode {
        let Counts { documents, redriven, kept, .. } = self.counts();
        ExitCode::complete_if(documents == if is_list { kept } else { redriven })
    }

    fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_by_sequence_number_within_their_shard() {
        let keys = ["s/shardId-1/10.json", "s/shardId-0/5.json", "s/shardId-1/9.json", "alone"];
        let shards = by_shard(keys.map(str::to_owned).to_vec());
        let shards: Vec<_> = shards.into_values().collect();
        let expected = [
            vec!["alone"],
            vec!["s/shardId-0/5.json"],
            vec!["s/shardId-1/9.json", "s/shardId-1/10.json"],
        ];
        assert_eq!(shards, expected);
    }
}
