//! Batches entries for the stream of one Region.
//!
//! A batcher is a task. It sends a request when one is full or has lingered, several at a time, and
//! retries the entries that a request did not get in until their deadline. Entries with the same
//! partition key are never in flight together, because Kinesis promises no order within a request or
//! between requests: each is blocked until its predecessor is acknowledged or returned.
//!
//! The Regions share the capacity of a pusher. While it is scarce, a Region that acknowledges nothing
//! returns entries that only it holds up, so that the others are not stopped for a delivery timeout.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_outcome::Cause;
use futures::future::{BoxFuture, FutureExt, OptionFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use record_cipher::ErrorKind;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

use crate::capacity::Capacity;
use crate::entry::Entry;
use crate::kinesis::{AttemptError, AttemptResult, StreamApi};
use crate::limits::{Limits, MAX_ENTRIES, attempt_timeout};
use crate::outage::{Outages, Service};
use crate::pending_delivery::PendingDelivery;
use crate::silence::Silence;
use crate::stats::Counters;

/// Attempts before this machine's clock is given up.
const CLOCK_ATTEMPTS: u32 = 3;

/// Time that an attempt has even if the deadline of its entries is closer.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(100);

/// What a batcher needs to know.
#[derive(Debug, Clone)]
pub(crate) struct BatchSettings {
    /// Time that an entry waits for others to share a request.
    pub(crate) linger: Duration,
    /// Time that an entry may wait for an acknowledgement.
    pub(crate) delivery_timeout: Duration,
    pub(crate) outages: Arc<Outages>,
    /// The capacity that the entries of all Regions share.
    pub(crate) capacity: Capacity,
}

/// The queue of one Region. Its length is limited by the capacity of the pusher.
#[derive(Debug)]
pub(crate) struct Batcher(mpsc::UnboundedSender<Command>);

#[derive(Debug)]
enum Command {
    Put(PendingDelivery),
    Flush,
}

impl Batcher {
    /// Starts the task, which ends when the batcher is dropped and its queue is empty, or when
    /// `stop` is cancelled.
    pub(crate) fn start(
        api: Arc<dyn StreamApi>,
        service: Service,
        settings: BatchSettings,
        stop: CancellationToken,
        counters: Arc<Counters>,
    ) -> Self {
        let (sender, commands) = mpsc::unbounded_channel();
        let silence = Silence::new(settings.delivery_timeout);
        let worker = Worker {
            api,
            service,
            settings,
            counters,
            ready: VecDeque::new(),
            ready_since: Instant::now(),
            is_flushing: false,
            blocked: HashMap::new(),
            retries: DelayQueue::new(),
            retrying: 0,
            requests: FuturesUnordered::new(),
            limits: Limits::default(),
            silence,
        };
        tokio::spawn(stop.run_until_cancelled_owned(worker.run(commands)));
        Self(sender)
    }

    /// Queues an entry.
    pub(crate) fn put(&self, pending: PendingDelivery) {
        // If the task has ended, the entry is dropped and reports it.
        let _ = self.0.send(Command::Put(pending));
    }

    /// Sends what was queued without waiting for more.
    pub(crate) fn flush(&self) {
        let _ = self.0.send(Command::Flush);
    }
}

struct Worker {
    api: Arc<dyn StreamApi>,
    service: Service,
    settings: BatchSettings,
    counters: Arc<Counters>,
    /// Entries to send, each with a partition key of its own.
    ready: VecDeque<PendingDelivery>,
    /// When the oldest of them became ready.
    ready_since: Instant,
    /// Whether the ready entries do not linger.
    is_flushing: bool,
    /// By partition key: entries blocked by one that is ready, in flight or to be retried.
    blocked: HashMap<String, VecDeque<PendingDelivery>>,
    retries: DelayQueue<PendingDelivery>,
    /// Bytes of capacity that the entries to be retried hold.
    retrying: usize,
    requests: FuturesUnordered<BoxFuture<'static, Response>>,
    limits: Limits,
    silence: Silence,
}

struct Response {
    entries: Vec<PendingDelivery>,
    /// Generation of the limits when the request was sent.
    generation: u64,
    result: Result<Vec<AttemptResult>, AttemptError>,
}

impl Worker {
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut is_open = true;
        while is_open || self.has_entries() {
            self.send_requests(is_open);
            let linger =
                self.could_send().then(|| sleep_until(self.ready_since + self.settings.linger));
            tokio::select! {
                command = commands.recv(), if is_open => match command {
                    Some(Command::Put(pending)) => self.accept(pending),
                    Some(Command::Flush) => self.is_flushing = true,
                    None => is_open = false,
                },
                Some(response) = self.requests.next() => self.settle(response),
                Some(due) = self.retries.next() => {
                    let pending = due.into_inner();
                    self.retrying -= pending.reserved;
                    self.make_ready(pending);
                }
                Some(()) = OptionFuture::from(linger) => {}
                () = sleep_until(self.silence.next_check()), if self.has_entries() => {
                    self.displace();
                    self.silence.check_again();
                }
            }
        }
    }

    fn has_entries(&self) -> bool {
        !(self.ready.is_empty() && self.requests.is_empty() && self.retries.is_empty())
    }

    fn accept(&mut self, pending: PendingDelivery) {
        if !self.has_entries() {
            self.silence.resume();
        }
        if pending.entry.unordered {
            return self.make_ready(pending);
        }
        match self.blocked.entry(pending.entry.partition_key.clone()) {
            Occupied(mut blocked) => blocked.get_mut().push_back(pending),
            Vacant(first) => {
                first.insert(VecDeque::new());
                self.make_ready(pending);
            }
        }
    }

    fn make_ready(&mut self, pending: PendingDelivery) {
        if self.ready.is_empty() {
            self.ready_since = Instant::now();
        }
        self.ready.push_back(pending);
    }

    fn could_send(&self) -> bool {
        !self.ready.is_empty() && self.requests.len() < self.limits.requests
    }

    fn send_requests(&mut self, is_open: bool) {
        while self.could_send() {
            let length = self.request_length();
            let lingers =
                is_open && !self.is_flushing && self.ready_since.elapsed() < self.settings.linger;
            if lingers && length == self.ready.len() && length < MAX_ENTRIES {
                return;
            }
            let entries: Vec<_> = self.ready.drain(..length).collect();
            let entries = self.unexpired(entries);
            if !entries.is_empty() {
                self.send(entries);
            }
        }
        if self.ready.is_empty() {
            self.is_flushing = false;
        }
    }

    /// Returns how many of the ready entries go into one request. An entry that is too large for a
    /// request of this size has one for itself.
    fn request_length(&self) -> usize {
        let mut bytes = 0;
        let fits = |pending: &&PendingDelivery| {
            bytes += pending.entry.size();
            bytes <= self.limits.request_bytes
        };
        self.ready.iter().take(MAX_ENTRIES).take_while(fits).count().max(1)
    }

    /// Returns the entries whose deadline has not passed, and fails the others.
    fn unexpired(&mut self, entries: Vec<PendingDelivery>) -> Vec<PendingDelivery> {
        let outages = self.settings.outages.clone();
        let is_expired = |pending: &mut PendingDelivery| outages.has_passed(pending.deadline);
        let mut entries = entries;
        for expired in entries.extract_if(.., is_expired).collect::<Vec<_>>() {
            self.release(&expired.entry);
            expired.expired();
        }
        entries
    }

    fn send(&mut self, entries: Vec<PendingDelivery>) {
        self.counters.request();
        let bytes = entries.iter().map(|pending| pending.entry.size()).sum();
        let limit = attempt_timeout(bytes, self.settings.delivery_timeout);
        let left = entries.iter().map(|pending| self.settings.outages.left(pending.deadline));
        let limit = limit.min(left.max().unwrap_or_default().max(SHORTEST_ATTEMPT));
        let (api, generation) = (self.api.clone(), self.limits.generation);
        self.requests.push(
            async move {
                let request = entries.iter().map(|pending| pending.entry.clone()).collect();
                let result = api.put_records(request, limit).await;
                Response { entries, generation, result }
            }
            .boxed(),
        );
    }

    fn settle(&mut self, Response { mut entries, generation, result }: Response) {
        self.silence.responded();
        entries.iter_mut().for_each(|pending| pending.attempts += 1);
        match result {
            Ok(results) if results.len() == entries.len() => {
                self.limits.grow();
                self.settings.outages.works(&self.service);
                if results.iter().any(Result::is_ok) {
                    self.silence.begin();
                }
                entries.into_iter().zip(results).for_each(|(pending, result)| match result {
                    Ok(delivery) => {
                        self.release(&pending.entry);
                        pending.delivered(delivery);
                    }
                    Err(error) => self.retry_or_fail(pending, error),
                });
            }
            Ok(_) => self.fail_attempt(entries, &AttemptError::invalid_response()),
            Err(error) if error.kind == ErrorKind::Record && entries.len() > 1 => {
                self.split(entries, &error);
            }
            Err(error) => {
                if error.is_timeout() {
                    self.limits.halve(generation);
                }
                self.fail_attempt(entries, &error);
            }
        }
    }

    /// Kinesis rejected a request as a whole because of one entry. Halving it finds that entry
    /// without failing the others.
    fn split(&mut self, mut entries: Vec<PendingDelivery>, error: &AttemptError) {
        entries.iter().for_each(|_| self.counters.failed_attempt(error.is_throttling()));
        let second = entries.split_off(entries.len() / 2);
        for half in [entries, second] {
            let half = self.unexpired(half);
            if !half.is_empty() {
                self.send(half);
            }
        }
    }

    fn fail_attempt(&mut self, entries: Vec<PendingDelivery>, error: &AttemptError) {
        entries.into_iter().for_each(|pending| self.retry_or_fail(pending, error.clone()));
    }

    fn retry_or_fail(&mut self, mut pending: PendingDelivery, error: AttemptError) {
        self.counters.failed_attempt(error.is_throttling());
        let pause = match self.may_retry(&error, pending.attempts) && !self.gives_way(&pending) {
            false => None,
            // An outage may take longer than the pause, but no time passes in it.
            true if error.kind == ErrorKind::Operator => Some(pending.pauses.next_pause()),
            true => pending.pauses.next_within(self.settings.outages.left(pending.deadline)),
        };
        if let Some(pause) = pause {
            pending.last_error = Some(error);
            self.retrying += pending.reserved;
            self.retries.insert(pending, pause);
            return;
        }
        tracing::debug!(code = error.code, attempts = pending.attempts, "entry failed");
        self.release(&pending.entry);
        pending.failed(error);
    }

    fn may_retry(&self, error: &AttemptError, attempts: u32) -> bool {
        match error.kind {
            ErrorKind::Retryable => true,
            // The client has learned the right time from the response.
            ErrorKind::Operator if error.cause == Some(Cause::ClockSkew) => {
                attempts < CLOCK_ATTEMPTS
            }
            ErrorKind::Operator => {
                self.settings.outages.waits_out(&self.service, &error.reason, error.cause)
            }
            ErrorKind::Record => false,
        }
    }

    /// Returns entries that other Regions have acknowledged, if this one holds up the others by them
    /// although it acknowledges nothing. Those stay that were sent before, and the oldest, as long as
    /// they hold no more than half of the capacity.
    fn displace(&mut self) {
        if !self.is_in_the_way() {
            return;
        }
        let (mut held, limit) = (self.retrying, self.settings.capacity.half());
        let mut is_displaced = |pending: &PendingDelivery| {
            let is_acknowledged = pending.is_acknowledged_elsewhere();
            held += if is_acknowledged { pending.reserved } else { 0 };
            is_acknowledged && pending.attempts == 0 && held > limit
        };
        self.ready.make_contiguous().sort_by_key(|pending| pending.deadline);
        let displaced = extract(&mut self.ready, &mut is_displaced);
        for blocked in self.blocked.values_mut() {
            let displaced = extract(blocked, &mut is_displaced);
            displaced.into_iter().for_each(PendingDelivery::displaced);
        }
        for pending in displaced {
            self.release(&pending.entry);
            pending.displaced();
        }
    }

    /// Whether an entry that failed is not retried, because others hold the half of the capacity that
    /// this Region is left with.
    fn gives_way(&self, pending: &PendingDelivery) -> bool {
        self.is_in_the_way()
            && self.retrying + pending.reserved > self.settings.capacity.half()
            && pending.is_acknowledged_elsewhere()
    }

    fn is_in_the_way(&self) -> bool {
        self.silence.is_long()
            && self.settings.capacity.is_scarce()
            && !self.settings.outages.is_out()
    }

    /// Unblocks the next entry with the same partition key.
    fn release(&mut self, entry: &Entry) {
        if entry.unordered {
            return;
        }
        let Occupied(mut blocked) = self.blocked.entry(entry.partition_key.clone()) else { return };
        match blocked.get_mut().pop_front() {
            Some(next) => self.make_ready(next),
            None => drop(blocked.remove()),
        }
    }
}

/// Removes the entries for which `is_wanted` returns `true`.
fn extract(
    entries: &mut VecDeque<PendingDelivery>,
    is_wanted: impl FnMut(&PendingDelivery) -> bool,
) -> VecDeque<PendingDelivery> {
    let (wanted, others) = std::mem::take(entries).into_iter().partition(is_wanted);
    *entries = others;
    wanted
}

#[cfg(test)]
mod tests;
