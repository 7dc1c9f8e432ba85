//! A push under way.

use std::pin::Pin;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use record_pusher::{ErrorKind, Outage, Outcome, PushError, Pushed, RecordPusher};
use record_telemetry::TraceContext;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use crate::aws_failure::{encryption_next_step, stream_error};
use crate::push::input::{Block, Line, Reading, StopReading};
use crate::push::lifecycle::{Action, Event, Lifecycle, Phase};
use crate::push::position::Position;
use crate::push::problem::Problem;
use crate::push::report::Report;
use crate::push::spool::Spool;
use crate::shutdown::Shutdown;

/// Blocks of lines that were submitted to the pusher and not to the report yet.
const SUBMITTED_BLOCKS: usize = 4;
/// Time after which problems are shown, though more of the same may come.
const PROBLEM_INTERVAL: Duration = Duration::from_secs(60);

/// The attribute that each record gets.
#[derive(Clone)]
pub(crate) struct Trace {
    attribute: String,
    traceparent: String,
}

impl Trace {
    pub(crate) fn new(attribute: Option<&str>, context: Option<&TraceContext>) -> Option<Self> {
        let attribute = attribute.filter(|name| !name.is_empty())?.to_owned();
        Some(Self { attribute, traceparent: context?.to_string() })
    }
}

/// A line that was submitted.
struct Submitted {
    position: Position,
    bytes: usize,
    /// The outcome of its record, or why it was rejected.
    pushed: Result<Pushed, Problem>,
}

/// The lines of a block, and where reading goes on.
type SubmittedBlock = (Vec<Submitted>, Option<Position>);

type Settled = (Position, usize, Result<Outcome, PushError>);

pub(crate) struct Run {
    pusher: RecordPusher,
    report: Report,
    spool: Option<Spool>,
    stream: String,
    drain_seconds: u64,
    lifecycle: Lifecycle,
    /// Whether an outage is reported as such.
    is_paused: bool,
    pushed: FuturesUnordered<BoxFuture<'static, Settled>>,
    stop_reading: Option<StopReading>,
    drain_time: Option<Pin<Box<Sleep>>>,
}

impl Run {
    pub(crate) fn new(
        pusher: RecordPusher,
        report: Report,
        spool: Option<Spool>,
        stream: String,
        drain_seconds: u64,
    ) -> Self {
        Self {
            pusher,
            report,
            spool,
            stream,
            drain_seconds,
            lifecycle: Lifecycle::new(),
            is_paused: false,
            pushed: FuturesUnordered::new(),
            stop_reading: None,
            drain_time: None,
        }
    }

    pub(crate) async fn until_done(
        mut self,
        reading: Reading,
        trace: Option<Trace>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<(Report, Lifecycle)> {
        self.stop_reading = Some(reading.stop);
        let (sender, mut submitted) = channel(SUBMITTED_BLOCKS);
        let submitter = Submitter {
            pusher: self.pusher.clone(),
            trace,
            outage: self.pusher.outage(),
            draining: CancellationToken::new(),
        };
        let draining = submitter.draining.clone();
        let submitting = tokio::spawn(submitter.run(reading.blocks, sender));
        let mut outage = self.pusher.outage();
        let mut problems = interval_at(Instant::now() + PROBLEM_INTERVAL, PROBLEM_INTERVAL);
        let (mut is_open, mut is_signalled) = (true, false);
        while self.lifecycle.phase() != Phase::Done {
            tokio::select! {
                block = submitted.recv(), if is_open => {
                    is_open = block.is_some();
                    self.submitted(block);
                }
                Some((position, bytes, outcome)) = self.pushed.next() => {
                    self.settle(&position, bytes, &outcome);
                }
                () = shutdown.draining.cancelled(), if !is_signalled => {
                    is_signalled = true;
                    self.on(Event::Signal);
                }
                () = wait(&mut self.drain_time), if self.drain_time.is_some() => {
                    self.drain_time = None;
                    self.on(Event::DrainTimeOver);
                }
                Ok(()) = outage.changed() => {
                    let outage = outage.borrow_and_update().clone();
                    self.show_outage(outage.as_ref());
                }
                _ = problems.tick() => self.report.show_problems(),
            }
            if self.lifecycle.phase() > Phase::Running {
                draining.cancel();
            }
        }
        submitting.await?;
        let finished = self.spool.take().map_or(Ok(()), Spool::finish);
        self.give_up_spool_on_error(finished);
        Ok((self.report, self.lifecycle))
    }

    fn submitted(&mut self, block: Option<SubmittedBlock>) {
        let Some((lines, next)) = block else {
            let is_at_end = self.report.is_at_end();
            return self.on(if is_at_end { Event::InputEnded } else { Event::ReadingStopped });
        };
        self.report.read_up_to(next);
        for Submitted { position, bytes, pushed } in lines {
            match pushed {
                Ok(outcome) => {
                    self.on(Event::Read(1));
                    self.pushed.push(async move { (position, bytes, outcome.await) }.boxed());
                }
                Err(problem) => self.report.rejected(&position, problem),
            }
        }
    }

    fn settle(&mut self, position: &Position, bytes: usize, outcome: &Result<Outcome, PushError>) {
        if let (Some(spool), Ok(outcome)) = (&mut self.spool, outcome)
            // The other records of the message have the same one.
            && outcome.index_in_message() == 0
        {
            let kept = spool.keep_undelivered(&self.stream, outcome);
            self.give_up_spool_on_error(kept);
        }
        let cache = || self.pusher.stats().cipher.data_keys;
        self.report.pushed(position, bytes, outcome, self.spool.is_some(), cache);
        self.on(event_of(outcome));
    }

    fn on(&mut self, event: Event) {
        match self.lifecycle.on(event) {
            Action::None => {}
            Action::StartDrainTime => {
                self.stop_reading = None;
                let drain = Duration::from_secs(self.drain_seconds);
                self.drain_time = Some(Box::pin(sleep(drain)));
                if self.lifecycle.is_reading() {
                    let seconds = self.drain_seconds;
                    self.report.say(&format!(
                        "stopping: delivering the lines that were read, for up to {seconds} s"
                    ));
                }
            }
            Action::StopPusher => {
                self.stop_reading = None;
                self.drain_time = None;
                self.pusher.stop();
            }
        }
        // What an outage holds back when time is up is an operator's affair.
        if self.lifecycle.phase() == Phase::Stopping && self.is_paused {
            self.lifecycle.require_operator();
        }
    }

    fn show_outage(&mut self, outage: Option<&Outage>) {
        self.is_paused = outage.is_some();
        let Some(Outage { region, error, cause, .. }) = outage else {
            return self.report.say("resumed");
        };
        let (error, next_step) = match region {
            Some(region) => stream_error(&self.stream, region.as_str(), error, *cause),
            None => (error.clone(), cause.and_then(encryption_next_step).map(str::to_owned)),
        };
        self.report.say(&format!("paused: {error}; waiting until it is resolved"));
        next_step.into_iter().for_each(|step| self.report.say(&format!("  {step}")));
    }

    /// A full disk does not keep records from being pushed.
    fn give_up_spool_on_error(&mut self, written: anyhow::Result<()>) {
        if let Err(error) = written {
            self.spool = None;
            self.report.spool_failed(&error);
        }
    }
}

async fn wait(sleep: &mut Option<Pin<Box<Sleep>>>) {
    if let Some(sleep) = sleep {
        sleep.await;
    }
}

fn event_of(outcome: &Result<Outcome, PushError>) -> Event {
    match outcome {
        Ok(outcome) if outcome.is_delivered() => Event::Delivered,
        Ok(outcome) => {
            let mut errors = outcome.regions().values().filter_map(|result| result.as_ref().err());
            Event::Undelivered {
                acknowledged: outcome.regions().values().any(Result::is_ok),
                operator: errors.any(|error| error.kind == ErrorKind::Operator),
            }
        }
        Err(error) => Event::Undelivered {
            acknowledged: false,
            operator: error.kind() == ErrorKind::Operator,
        },
    }
}

/// Submits lines to the pusher in their order.
struct Submitter {
    pusher: RecordPusher,
    trace: Option<Trace>,
    outage: watch::Receiver<Option<Outage>>,
    /// Cancelled when lines are submitted even during an outage.
    draining: CancellationToken,
}

impl Submitter {
    async fn run(mut self, mut blocks: Receiver<Block>, submitted: Sender<SubmittedBlock>) {
        while let Some(Block { lines, next }) = blocks.recv().await {
            self.wait_for_the_end_of_an_outage().await;
            if submitted.send((self.submit(lines).await, next)).await.is_err() {
                return;
            }
        }
        drop(submitted);
        // Nothing comes that lingering records could wait for.
        self.pusher.flush().await;
    }

    async fn wait_for_the_end_of_an_outage(&mut self) {
        tokio::select! {
            _ = self.outage.wait_for(Option::is_none) => {}
            () = self.draining.cancelled() => {}
        }
    }

    async fn submit(&self, lines: Vec<Line>) -> Vec<Submitted> {
        let (mut positions, mut records) = (Vec::new(), Vec::new());
        for Line { position, bytes, record } in lines {
            positions.push((position, bytes, record.as_ref().err().cloned()));
            records.extend(record.map(|record| match &self.trace {
                Some(trace) => record.or_insert(&trace.attribute, &trace.traceparent),
                None => record,
            }));
        }
        let mut pushed = self.pusher.queue_records(records).await.into_iter();
        let submitted = |(position, bytes, rejected)| Submitted {
            position,
            bytes,
            pushed: match rejected {
                Some(problem) => Err(problem),
                None => Ok(pushed.next().expect("every record was queued")),
            },
        };
        positions.into_iter().map(submitted).collect()
    }
}
