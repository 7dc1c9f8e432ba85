//! Writes items in the order of the batch until they are written or the time is up.

use std::collections::{HashMap, HashSet};

use aws_outcome::{Class, Failure};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::select;
use tokio::time::{Instant, sleep_until};

use crate::attempt::attempt;
use crate::failure::{Failures, Reason};
use crate::item::{ItemKey, key_of};
use crate::pace::Pace;
use crate::pending_writes::{MAX_REQUEST_BYTES, PendingWrite, PendingWrites, Request};
use crate::schema::Schema;
use crate::table::{Item, PutOutcome, Table};

/// DynamoDB's limit on the puts of one request.
const MAX_PUTS: usize = 25;
/// Requests for several items in flight.
const BATCHES_IN_FLIGHT: usize = 4;
/// Requests for one item in flight.
const PUTS_IN_FLIGHT: usize = 32;
/// Items that DynamoDB denies one after the other before the rest is not attempted. One such item
/// may be denied for what is in its key; several show that permission or the table is missing.
const MAX_DENIALS: usize = 3;

/// Writes the items of a window.
pub(crate) struct Writer<'a> {
    pub(crate) table: &'a dyn Table,
    pub(crate) schema: &'a Schema,
    /// When to stop.
    pub(crate) until: Instant,
}

/// What became of the items of a window.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Items that the table took.
    pub(crate) written: usize,
    /// Items that gave way to a newer one of their key, in the batch or in the table.
    pub(crate) superseded: usize,
    /// Why no further window is to be written.
    pub(crate) stopped: Option<Reason>,
}

/// What DynamoDB answered to a request.
enum Answer {
    /// All items are written, except those of these keys.
    Unprocessed(HashSet<ItemKey>),
    /// The table's item is as new or newer.
    Superseded,
    Failed(Failure),
}

impl Writer<'_> {
    /// Writes all items, and adds the reasons why some were not.
    pub(crate) async fn write(&self, pending: PendingWrites, failures: &mut Failures) -> Written {
        let mut schedule = Schedule {
            pending,
            in_flight: HashMap::new(),
            pace: self.pace(),
            denials: 0,
            last_failure: None,
            failures,
            written: Written::default(),
        };
        let mut requests = FuturesUnordered::new();
        while !schedule.is_done() {
            while let Some((id, items)) = schedule.next_request() {
                requests.push(self.send(id, items));
            }
            select! {
                biased;
                () = sleep_until(self.until) => break,
                Some((id, answer)) = requests.next() => schedule.settle(id, answer),
                () = sleep_until(schedule.pace.resume_at()), if schedule.pace.is_pausing() => {
                    schedule.pace.resume();
                }
            }
        }
        schedule.finish(self.call())
    }

    fn pace(&self) -> Pace {
        match self.schema.version {
            None => Pace::new(BATCHES_IN_FLIGHT, MAX_PUTS),
            Some(_) => Pace::new(PUTS_IN_FLIGHT, 1),
        }
    }

    fn call(&self) -> &'static str {
        match self.schema.version {
            None => "dynamodb:BatchWriteItem",
            Some(_) => "dynamodb:PutItem",
        }
    }

    fn send(&self, id: usize, items: Vec<Item>) -> BoxFuture<'_, (usize, Answer)> {
        let answer = async move {
            match &self.schema.version {
                None => self.put(items).await,
                Some(rule) => self.put_if_newer(items, &rule.attribute).await,
            }
        };
        answer.map(move |answer| (id, answer.unwrap_or_else(Answer::Failed))).boxed()
    }

    async fn put(&self, items: Vec<Item>) -> Result<Answer, Failure> {
        let unprocessed = attempt(self.until, self.table.put(items)).await?;
        let key = |item: &Item| {
            key_of(item, &self.schema.key).expect("DynamoDB returns items that were sent")
        };
        Ok(Answer::Unprocessed(unprocessed.iter().map(key).collect()))
    }

    /// An attempt whose answer was lost finds the item superseded by itself, which is as good.
    async fn put_if_newer(&self, items: Vec<Item>, version: &str) -> Result<Answer, Failure> {
        let item = items.into_iter().next().expect("a request has an item");
        let outcome = attempt(self.until, self.table.put_if_newer(item, version)).await?;
        Ok(match outcome {
            PutOutcome::Written => Answer::Unprocessed(HashSet::new()),
            PutOutcome::Superseded => Answer::Superseded,
        })
    }
}

/// Decides which items are sent next.
struct Schedule<'a> {
    pending: PendingWrites,
    in_flight: HashMap<usize, Request>,
    pace: Pace,
    /// Items that were denied since one was written.
    denials: usize,
    /// How the last request failed, if it did.
    last_failure: Option<Failure>,
    failures: &'a mut Failures,
    written: Written,
}

impl Schedule<'_> {
    fn is_done(&self) -> bool {
        self.written.stopped.is_some() || (self.pending.is_empty() && self.in_flight.is_empty())
    }

    /// Takes the lowest items, unless enough is in flight.
    fn next_request(&mut self) -> Option<(usize, Vec<Item>)> {
        if self.is_done() || self.pending.is_empty() || !self.pace.allows(self.in_flight.len()) {
            return None;
        }
        // All requests together are as large as one may be: each is in memory several times.
        let in_flight: usize = self.in_flight.values().map(|request| request.bytes).sum();
        let left = MAX_REQUEST_BYTES.checked_sub(in_flight).filter(|left| *left > 0)?;
        let request = self.pending.take(self.pace.items_per_request(), left);
        let items = request.writes.iter().map(|write| write.item().clone()).collect();
        let id = (0..).find(|id| !self.in_flight.contains_key(id))?;
        self.in_flight.insert(id, request);
        Some((id, items))
    }

    fn settle(&mut self, id: usize, answer: Answer) {
        let request = self.in_flight.remove(&id).expect("the request was in flight").writes;
        match answer {
            Answer::Superseded => {
                self.written.superseded += count_versions(&request);
                self.succeed();
            }
            Answer::Unprocessed(keys) => self.settle_batch(request, &keys),
            Answer::Failed(failure) => match failure.class() {
                Class::Retryable => {
                    self.last_failure = Some(failure);
                    self.pace.slow_down();
                    self.put_back(request, None);
                }
                _ if request.len() > 1 => {
                    let half = request.len().div_ceil(2);
                    self.put_back(request, Some(half));
                }
                Class::Operator => self.deny(request, failure),
                Class::Request => self.reject(request, &failure),
            },
        }
    }

    fn settle_batch(&mut self, request: Vec<PendingWrite>, unprocessed: &HashSet<ItemKey>) {
        let (left, done): (Vec<_>, Vec<_>) =
            request.into_iter().partition(|write| unprocessed.contains(&write.key));
        self.written.written += done.len();
        self.written.superseded += count_versions(&done) - done.len();
        if left.is_empty() {
            return self.succeed();
        }
        self.last_failure = None;
        match done.is_empty() {
            true => self.pace.slow_down(),
            false => self.pace.hold(),
        }
        self.put_back(left, None);
    }

    fn succeed(&mut self) {
        self.denials = 0;
        self.last_failure = None;
        self.pace.speed_up();
    }

    fn put_back(&mut self, request: Vec<PendingWrite>, max_items: Option<usize>) {
        for mut write in request {
            write.max_items = max_items.unwrap_or(write.max_items);
            self.pending.put_back(write);
        }
    }

    /// The item is at fault. The next best one of its key takes its place.
    fn reject(&mut self, request: Vec<PendingWrite>, failure: &Failure) {
        for mut write in request {
            if let Some(bad) = write.versions.pop() {
                self.failures.add(bad.record, bad.member, Reason::Rejected(failure.clone()));
            }
            if !write.versions.is_empty() {
                self.pending.put_back(write);
            }
        }
    }

    /// The item waits for an operator. So does the rest, unless a lower item is still undecided.
    fn deny(&mut self, request: Vec<PendingWrite>, failure: Failure) {
        self.denials += 1;
        let is_lowest = request.iter().all(|write| self.is_lowest(write));
        self.fail(request, &Reason::Denied(failure.clone()));
        if self.denials >= MAX_DENIALS && is_lowest {
            self.written.stopped = Some(Reason::Halted(failure));
        }
    }

    fn is_lowest(&self, write: &PendingWrite) -> bool {
        let in_flight = self.in_flight.values().flat_map(|request| &request.writes);
        let mut undecided = self.pending.first().into_iter().chain(in_flight);
        undecided.all(|other| other.position() > write.position())
    }

    fn fail(&mut self, writes: impl IntoIterator<Item = PendingWrite>, reason: &Reason) {
        for version in writes.into_iter().flat_map(|write| write.versions) {
            self.failures.add(version.record, version.member, reason.clone());
        }
    }

    /// Adds the failures of the items that are left.
    fn finish(mut self, call: &'static str) -> Written {
        let in_flight = self.in_flight.drain();
        let left: Vec<_> = in_flight.flat_map(|(_, request)| request.writes).collect();
        self.put_back(left, None);
        if !self.pending.is_empty() {
            let timeout = Reason::NotWritten { call, failure: self.last_failure.take() };
            let reason = self.written.stopped.clone().unwrap_or(timeout);
            self.written.stopped.get_or_insert(Reason::NoTime);
            let pending = std::mem::take(&mut self.pending);
            self.fail(pending, &reason);
        }
        self.written
    }
}

fn count_versions(writes: &[PendingWrite]) -> usize {
    writes.iter().map(|write| write.versions.len()).sum()
}
