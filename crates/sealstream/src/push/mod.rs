//! `sealstream push`: from the input to the streams.

pub(crate) mod args;
mod input;
mod metrics;
mod report;
pub(crate) mod spool;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures::stream::{FuturesUnordered, StreamExt};
use record_pusher::metrics::snapshot;
use record_pusher::{Outcome, PushError, Pushed, RecordPusher};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::exit_code::{CommandError, ExitCode, OrCommandError};
use crate::output;
use crate::push::args::PushArgs;
use crate::push::input::{Input, Line, Place};
use crate::push::metrics::MetricsFile;
use crate::push::report::Report;
use crate::push::spool::Spool;
use crate::shutdown::Shutdown;

/// Blocks of lines that were handed to the pusher and not to the report yet.
const HANDED_OVER: usize = 4;

/// Pushes the records of the input to the streams.
pub(crate) async fn push(args: &PushArgs) -> Result<ExitCode, CommandError> {
    let input = Input::open(&args.files).or_usage()?;
    let spool = args.spool.as_deref().map(Spool::append_to).transpose().or_usage()?;
    let metrics = args.metrics.as_deref().map(MetricsFile::append_to).transpose().or_usage()?;
    let config = aws_config::load_from_env().await;
    let pusher =
        RecordPusher::new(&args.settings, &config).await.context("the settings do not work");
    let pusher = pusher.or_usage()?;
    let shutdown = Shutdown::on_signals(Duration::from_secs(args.drain_seconds))?;
    let report = Report::new(&args.settings.regions, input.size());
    let run = Run {
        pusher: pusher.clone(),
        trace: Trace::of(args),
        report,
        spool,
        stream: args.settings.stream.to_string(),
    };
    let drain_seconds = args.drain_seconds;
    let draining = shutdown.draining.clone();
    tokio::spawn(async move {
        draining.cancelled().await;
        output::diagnostic(format_args!(
            "stopping: sending what was read, for up to {drain_seconds} s"
        ));
    });
    let report = run.until_done(input.read(args.fail_fast), &shutdown).await?;
    if let Some(metrics) = metrics {
        metrics.write(snapshot(pusher.stats()));
    }
    report.print(args.output).context("cannot write to standard output")?;
    Ok(ExitCode::complete_if(report.is_complete()))
}

/// What each record gets as an attribute.
#[derive(Clone)]
struct Trace {
    attribute: String,
    traceparent: String,
}

impl Trace {
    fn of(args: &PushArgs) -> Option<Self> {
        let attribute = args.trace.attribute()?.to_owned();
        Some(Self { attribute, traceparent: args.traceparent?.to_string() })
    }
}

/// A line with what becomes of it.
struct Fed {
    place: Place,
    bytes: usize,
    /// Its record, or why it holds none.
    pushed: Result<Pushed, String>,
}

struct Run {
    pusher: RecordPusher,
    trace: Option<Trace>,
    report: Report,
    spool: Option<Spool>,
    stream: String,
}

impl Run {
    async fn until_done(
        mut self,
        lines: Receiver<Vec<Line>>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Report> {
        let (sender, mut fed) = channel(HANDED_OVER);
        let last = Arc::new(Mutex::new(None));
        let feeding = feed(self.pusher.clone(), self.trace.clone(), lines, sender, last.clone());
        let feeding = tokio::spawn(shutdown.draining.clone().run_until_cancelled_owned(feeding));
        let mut pushed = FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !pushed.is_empty() {
            tokio::select! {
                block = fed.recv(), if is_open => {
                    is_open = block.is_some();
                    for Fed { place, bytes, pushed: outcome } in block.into_iter().flatten() {
                        match outcome {
                            Ok(outcome) => pushed.push(async move { (place, bytes, outcome.await) }),
                            Err(reason) => self.report.rejected(&place, &reason),
                        }
                    }
                }
                Some((place, bytes, outcome)) = pushed.next() => {
                    self.settle(&place, bytes, &outcome);
                }
                () = shutdown.stopping.cancelled(), if !pushed.is_empty() => self.pusher.stop(),
            }
        }
        let synced = self.spool.as_ref().map_or(Ok(()), Spool::sync);
        self.give_up_spool_on_error(synced);
        if feeding.await?.is_none() {
            let last = last.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.report.interrupted_after(last);
        }
        Ok(self.report.finish(self.pusher.stats()))
    }

    fn settle(&mut self, place: &Place, bytes: usize, outcome: &Result<Outcome, PushError>) {
        if let (Some(spool), Ok(outcome)) = (&mut self.spool, outcome) {
            let kept = spool.keep_undelivered(&self.stream, outcome);
            self.give_up_spool_on_error(kept);
        }
        self.report.pushed(place, bytes, outcome, || self.pusher.stats().cipher.data_keys);
    }

    /// What is pushed is not held up by a disk that is full.
    fn give_up_spool_on_error(&mut self, written: anyhow::Result<()>) {
        if let Err(error) = written {
            self.spool = None;
            self.report.spool_failed(&error);
        }
    }
}

/// Hands the lines to the pusher in their order. `last` is the place of the last one.
async fn feed(
    pusher: RecordPusher,
    trace: Option<Trace>,
    mut blocks: Receiver<Vec<Line>>,
    fed: Sender<Vec<Fed>>,
    last: Arc<Mutex<Option<Place>>>,
) {
    while let Some(lines) = blocks.recv().await {
        let end = lines.last().map(|line| line.place.clone());
        if fed.send(queue(&pusher, trace.as_ref(), lines).await).await.is_err() {
            return;
        }
        *last.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

async fn queue(pusher: &RecordPusher, trace: Option<&Trace>, lines: Vec<Line>) -> Vec<Fed> {
    let (mut places, mut records) = (Vec::new(), Vec::new());
    for Line { place, bytes, record } in lines {
        places.push((place, bytes, record.as_ref().err().cloned()));
        records.extend(record.map(|record| match trace {
            Some(trace) => record.or_insert(&trace.attribute, &trace.traceparent),
            None => record,
        }));
    }
    let mut pushed = pusher.queue_records(records).await.into_iter();
    let fed = |(place, bytes, rejected)| Fed {
        place,
        bytes,
        pushed: match rejected {
            Some(reason) => Err(reason),
            None => Ok(pushed.next().expect("every record was queued")),
        },
    };
    places.into_iter().map(fed).collect()
}
