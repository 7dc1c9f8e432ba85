//! Batches of encrypted records for the stream of one Region.
//!
//! A batcher is a task with a bounded queue. It sends what has gathered when a request is full or
//! has waited long enough, several requests at a time. What a request does not get in is sent again
//! until its time is up. Entries with the same partition key are never on their way together,
//! because Kinesis promises no order within a request or between requests: each waits until the one
//! before it is acknowledged or handed back.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::future::{BoxFuture, FutureExt, OptionFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use record_cipher::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

use crate::kinesis::{Entry, StreamApi, TryError, TryResult};
use crate::receipt::Receipt;
use crate::stats::Counters;

/// Kinesis's limit on the records of one request.
const MAX_ENTRIES: usize = 500;
/// Bytes of one request, keys counted. Kinesis takes 5 MiB, and 10 by now. But a request is in memory
/// several times while it is made and signed, and larger ones save nothing.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Requests that are on their way at once.
const MAX_REQUESTS: usize = 4;
/// Bytes that a queue holds, what is on its way counted.
const QUEUE_BYTES: usize = 4 << 20;
/// What an entry counts at least, so that small ones do not fill the memory with what is around
/// them.
const MIN_ENTRY_BYTES: usize = 1 << 10;
/// Entries that are handed to the task together at most.
const MAX_BLOCK: usize = 100;

/// The longest waits before the first try again and before any.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);

/// How long entries may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For others to share a request.
    pub(crate) linger: Duration,
    /// For an acknowledgement, from the moment on when they were queued.
    pub(crate) delivery_timeout: Duration,
}

/// The queue of one Region.
#[derive(Debug)]
pub(crate) struct Batcher {
    /// To the task, which a hand-over may have to wake. What is in there has its room already.
    queue: mpsc::UnboundedSender<Vec<Queued>>,
    /// To be handed over.
    outbox: Mutex<Vec<Queued>>,
    room: Arc<Semaphore>,
    delivery_timeout: Duration,
}

#[derive(Debug)]
struct Queued {
    entry: Arc<Entry>,
    receipt: Receipt,
    deadline: Instant,
    _room: Option<OwnedSemaphorePermit>,
}

impl Batcher {
    /// Starts the task, which ends when the batcher is dropped and its queue is empty, or when
    /// `stop` is cancelled.
    pub(crate) fn start(
        api: Arc<dyn StreamApi>,
        patience: Patience,
        stop: CancellationToken,
        counters: Arc<Counters>,
    ) -> Self {
        let (queue, incoming) = mpsc::unbounded_channel();
        let worker = Worker {
            api,
            linger: patience.linger,
            counters,
            ready: VecDeque::new(),
            ready_since: Instant::now(),
            behind: HashMap::new(),
            retries: DelayQueue::new(),
            requests: FuturesUnordered::new(),
            rng: Rng::new(),
        };
        tokio::spawn(stop.run_until_cancelled_owned(worker.run(incoming)));
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let delivery_timeout = patience.delivery_timeout;
        Self { queue, outbox: Mutex::default(), room, delivery_timeout }
    }

    /// Whether [`put`](Self::put) would not wait.
    pub(crate) fn has_room_for(&self, entry: &Entry) -> bool {
        self.room.available_permits() >= room_of(entry)
    }

    /// Queues an entry, which goes on with the next [`flush`](Self::flush) at the latest. Waits while
    /// the queue is full: flush before, because what was not handed over yet keeps its room.
    pub(crate) async fn put(&self, entry: Arc<Entry>, receipt: Receipt) {
        let bytes = u32::try_from(room_of(&entry)).expect("a queue has fewer bytes");
        let room = self.room.clone().acquire_many_owned(bytes).await.ok();
        let deadline = Instant::now() + self.delivery_timeout;
        let waiting = {
            let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
            outbox.push(Queued { entry, receipt, deadline, _room: room });
            outbox.len()
        };
        if waiting >= MAX_BLOCK {
            self.flush();
        }
    }

    /// Hands over what was put.
    pub(crate) fn flush(&self) {
        let entries =
            std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner));
        if !entries.is_empty() {
            // If the task has ended, the receipts say so when they are dropped with what comes back.
            let _ = self.queue.send(entries);
        }
    }
}

/// Bytes of the queue that an entry takes.
fn room_of(entry: &Entry) -> usize {
    entry.size().clamp(MIN_ENTRY_BYTES, QUEUE_BYTES)
}

struct Worker {
    api: Arc<dyn StreamApi>,
    linger: Duration,
    counters: Arc<Counters>,
    /// To be sent, each with a partition key of its own.
    ready: VecDeque<Queued>,
    /// Since when something has been waiting there.
    ready_since: Instant,
    /// By partition key: those that wait for one which is ready, on its way or to be sent again.
    behind: HashMap<String, VecDeque<Queued>>,
    retries: DelayQueue<Queued>,
    requests: FuturesUnordered<BoxFuture<'static, Answered>>,
    rng: Rng,
}

struct Answered {
    entries: Vec<Queued>,
    answer: Result<Vec<TryResult>, TryError>,
}

impl Worker {
    async fn run(mut self, mut incoming: mpsc::UnboundedReceiver<Vec<Queued>>) {
        let mut is_open = true;
        while is_open || self.has_entries() {
            self.send_requests(is_open);
            let linger =
                self.waits_for_others().then(|| sleep_until(self.ready_since + self.linger));
            tokio::select! {
                arrived = incoming.recv(), if is_open => {
                    is_open = arrived.is_some();
                    arrived.into_iter().flatten().for_each(|queued| self.accept(queued));
                }
                Some(answered) = self.requests.next() => self.settle(answered),
                Some(due) = self.retries.next() => self.make_ready(due.into_inner()),
                Some(()) = OptionFuture::from(linger) => {}
            }
        }
    }

    fn has_entries(&self) -> bool {
        !(self.ready.is_empty() && self.requests.is_empty() && self.retries.is_empty())
    }

    fn accept(&mut self, queued: Queued) {
        if queued.entry.is_alone {
            return self.make_ready(queued);
        }
        match self.behind.entry(queued.entry.partition_key.clone()) {
            Occupied(mut behind) => behind.get_mut().push_back(queued),
            Vacant(first) => {
                first.insert(VecDeque::new());
                self.make_ready(queued);
            }
        }
    }

    fn make_ready(&mut self, queued: Queued) {
        if self.ready.is_empty() {
            self.ready_since = Instant::now();
        }
        self.ready.push_back(queued);
    }

    /// Whether entries are ready and a request could be made, but not yet.
    fn waits_for_others(&self) -> bool {
        !self.ready.is_empty() && self.requests.len() < MAX_REQUESTS
    }

    fn send_requests(&mut self, is_open: bool) {
        while self.waits_for_others() {
            let length = self.request_length();
            let has_waited = self.ready_since.elapsed() >= self.linger;
            if length == self.ready.len() && length < MAX_ENTRIES && is_open && !has_waited {
                return;
            }
            let entries = self.ready.drain(..length).collect();
            self.counters.request();
            self.requests.push(send(self.api.clone(), entries).boxed());
        }
    }

    /// How many of the ready entries go into one request.
    fn request_length(&self) -> usize {
        let mut bytes = 0;
        let fits = |queued: &&Queued| {
            bytes += queued.entry.size();
            bytes <= MAX_REQUEST_BYTES
        };
        let length = self.ready.iter().take(MAX_ENTRIES).take_while(fits).count();
        // An entry that is too large for a request of this size has one for itself.
        length.max(1)
    }

    fn settle(&mut self, Answered { entries, answer }: Answered) {
        let results = match answer {
            Ok(results) if results.len() == entries.len() => results,
            Ok(_) => vec![Err(TryError::no_answer()); entries.len()],
            Err(error) => vec![Err(error); entries.len()],
        };
        for (mut queued, result) in entries.into_iter().zip(results) {
            queued.receipt.tries += 1;
            match result {
                Ok(delivery) => {
                    self.release(&queued.entry);
                    queued.receipt.delivered(delivery);
                }
                Err(error) => self.try_again(queued, error),
            }
        }
    }

    /// Sends the entry again later, or hands it back.
    fn try_again(&mut self, queued: Queued, error: TryError) {
        self.counters.failed_try(error.is_throttling());
        let delay = back_off(queued.receipt.tries, &mut self.rng);
        if error.kind == ErrorKind::Record || Instant::now() + delay >= queued.deadline {
            tracing::debug!(error.code, tries = queued.receipt.tries, "record handed back");
            self.release(&queued.entry);
            return queued.receipt.failed(error);
        }
        self.retries.insert(queued, delay);
    }

    /// Lets the next entry with the same partition key go.
    fn release(&mut self, entry: &Entry) {
        if entry.is_alone {
            return;
        }
        let Occupied(mut behind) = self.behind.entry(entry.partition_key.clone()) else { return };
        match behind.get_mut().pop_front() {
            Some(next) => self.make_ready(next),
            None => drop(behind.remove()),
        }
    }
}

async fn send(api: Arc<dyn StreamApi>, entries: Vec<Queued>) -> Answered {
    let answer = api.put_records(entries.iter().map(|queued| queued.entry.clone()).collect()).await;
    Answered { entries, answer }
}

/// Any time up to a limit that doubles with each try: "full jitter".
///
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
fn back_off(tries: u32, rng: &mut Rng) -> Duration {
    let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
    FIRST_BACK_OFF.saturating_mul(doubled).min(LONGEST_BACK_OFF).mul_f64(rng.f64())
}

#[cfg(test)]
mod tests;
