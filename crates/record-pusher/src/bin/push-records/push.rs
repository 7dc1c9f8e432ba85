//! From the input to the streams.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures::stream::{FuturesUnordered, StreamExt};
use record_pusher::{Outcome, PushError, Pushed, RecordPusher};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::args::Args;
use crate::input::{Input, Line};
use crate::report::Report;
use crate::shutdown::Shutdown;
use crate::spool::Spool;

/// Lines that were handed to the pusher and not to the report yet.
const HANDED_OVER: usize = 1000;

/// Whether everything was delivered.
pub(crate) async fn push(args: &Args) -> anyhow::Result<bool> {
    let input = Input::open(&args.files)?;
    let spool = args.spool.as_deref().map(Spool::append_to).transpose()?;
    let config = aws_config::load_from_env().await;
    let pusher =
        RecordPusher::new(&args.settings, &config).await.context("the settings do not work")?;
    let shutdown = Shutdown::on_signals(Duration::from_secs(args.drain_seconds))?;
    let report = Report::new(&args.settings.regions, input.size());
    let run = Run { pusher, report, spool, stream: args.settings.stream.to_string() };
    let report = run.until_done(input.read(args.fail_fast), &shutdown).await?;
    report.print(args.output);
    Ok(report.is_complete())
}

/// A line with what becomes of it.
struct Fed {
    place: String,
    bytes: usize,
    /// Its record, or why it holds none.
    pushed: Result<Pushed, String>,
}

struct Run {
    pusher: RecordPusher,
    report: Report,
    spool: Option<Spool>,
    stream: String,
}

impl Run {
    async fn until_done(
        mut self,
        lines: Receiver<Line>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Report> {
        let (sender, mut fed) = channel(HANDED_OVER);
        let last = Arc::new(Mutex::new(None));
        let feeding = feed(self.pusher.clone(), lines, sender, last.clone());
        let feeding = tokio::spawn(shutdown.reading.clone().run_until_cancelled_owned(feeding));
        let mut pushed = FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !pushed.is_empty() {
            tokio::select! {
                line = fed.recv(), if is_open => match line {
                    Some(Fed { place, bytes, pushed: Ok(outcome) }) => {
                        pushed.push(async move { (place, bytes, outcome.await) });
                    }
                    Some(Fed { place, bytes, pushed: Err(reason) }) => {
                        self.report.rejected(&place, bytes, &reason);
                    }
                    None => is_open = false,
                },
                Some((place, bytes, outcome)) = pushed.next() => {
                    self.settle(&place, bytes, &outcome)?;
                }
                () = shutdown.sending.cancelled(), if !pushed.is_empty() => self.pusher.stop(),
            }
        }
        if let Some(spool) = &mut self.spool {
            spool.sync()?;
        }
        if feeding.await?.is_none() {
            let last = last.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.report.interrupted_after(last);
        }
        Ok(self.report.finish(self.pusher.data_key_stats(), self.pusher.region_stats()))
    }

    fn settle(
        &mut self,
        place: &str,
        bytes: usize,
        outcome: &Result<Outcome, PushError>,
    ) -> anyhow::Result<()> {
        if let (Some(spool), Ok(outcome)) = (&mut self.spool, outcome) {
            spool.keep_undelivered(&self.stream, outcome)?;
        }
        self.report.pushed(place, bytes, outcome, self.pusher.data_key_stats());
        Ok(())
    }
}

/// Hands the lines to the pusher in their order. `last` is the place of the last one.
async fn feed(
    pusher: RecordPusher,
    mut lines: Receiver<Line>,
    fed: Sender<Fed>,
    last: Arc<Mutex<Option<String>>>,
) {
    while let Some(Line { place, bytes, record }) = lines.recv().await {
        let pushed = match record {
            Ok(record) => Ok(pusher.queue_record(record).await),
            Err(reason) => Err(reason),
        };
        if fed.send(Fed { place: place.clone(), bytes, pushed }).await.is_err() {
            return;
        }
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }
}
