use std::ops::RangeInclusive;
use std::sync::Mutex;

use futures::future::join_all;
use record_cipher::RegionName;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::*;
use crate::outcome::{Delivery, Outcome, PushError};
use crate::receipt::{Destination, receipts};

type Answer = Result<Vec<TryResult>, TryError>;

/// Answers requests in turn, and after that takes everything. Keeps the requests.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<Vec<Arc<Entry>>>>,
    /// Time that each answer takes.
    latency: Duration,
}

impl StreamApi for Script {
    fn put_records(&self, entries: Vec<Arc<Entry>>) -> BoxFuture<'_, Answer> {
        let answer = self.answers.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| Ok(vec![Ok(delivery()); entries.len()]));
        self.requests.lock().unwrap().push(entries);
        async {
            tokio::time::sleep(self.latency).await;
            answer
        }
        .boxed()
    }

    fn record_limit(&self) -> BoxFuture<'_, Result<usize, TryError>> {
        unreachable!("a batcher does not ask for it")
    }
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn slow(latency: Duration) -> Arc<Self> {
        Arc::new(Self { latency, ..Self::default() })
    }

    fn request_sizes(&self) -> Vec<usize> {
        self.requests.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// The data of every entry, in the order of requests.
    fn sent(&self) -> Vec<Vec<u8>> {
        let requests = self.requests.lock().unwrap();
        requests.iter().flatten().map(|entry| entry.data.clone()).collect()
    }
}

const LINGER: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(30);

struct Fixture {
    batcher: Batcher,
    stop: CancellationToken,
    counters: Arc<Counters>,
}

impl Fixture {
    fn new(script: Arc<Script>) -> Self {
        let (stop, counters) = (CancellationToken::new(), Arc::<Counters>::default());
        let patience = Patience { linger: LINGER, delivery_timeout: TIMEOUT };
        let batcher = Batcher::start(script, patience, stop.clone(), counters.clone());
        Self { batcher, stop, counters }
    }

    async fn queue(&self, entry: Entry) -> oneshot::Receiver<Result<Outcome, PushError>> {
        let outcome = self.queue_unflushed(entry).await;
        self.batcher.flush();
        outcome
    }

    async fn queue_unflushed(&self, entry: Entry) -> oneshot::Receiver<Result<Outcome, PushError>> {
        let (reply, outcome) = oneshot::channel();
        let entry = Arc::new(entry);
        if !self.batcher.has_room_for(&entry) {
            self.batcher.flush();
        }
        for receipt in receipts(&entry, &self.destinations(), vec![reply]) {
            self.batcher.put(entry.clone(), receipt).await;
        }
        outcome
    }

    fn destinations(&self) -> Arc<[Destination]> {
        Arc::from([Destination { region: region(), counters: self.counters.clone() }])
    }

    async fn put(&self, entries: Vec<Entry>) -> Vec<Result<Delivery, String>> {
        let mut outcomes = Vec::new();
        for entry in entries {
            outcomes.push(self.queue_unflushed(entry).await);
        }
        self.batcher.flush();
        join_all(outcomes).await.into_iter().map(|outcome| result(outcome.unwrap())).collect()
    }
}

fn region() -> RegionName {
    "eu-west-1".parse().unwrap()
}

fn result(outcome: Result<Outcome, PushError>) -> Result<Delivery, String> {
    let delivery = outcome.unwrap().regions()[&region()].clone();
    delivery.map_err(|error| error.to_string())
}

fn delivery() -> Delivery {
    Delivery { shard_id: "shardId-0".into(), sequence_number: "1".into() }
}

fn throttled() -> TryError {
    let code = "ProvisionedThroughputExceededException".to_owned();
    TryError { code, message: None, kind: ErrorKind::Retryable }
}

/// Entries with a key of their own each, whose data begins with their number.
fn entries(numbers: RangeInclusive<u32>, size: usize) -> Vec<Entry> {
    let entry = |number: u32| keyed(&number.to_string(), number, size);
    numbers.map(|number| Entry { is_alone: true, ..entry(number) }).collect()
}

fn keyed(key: &str, number: u32, size: usize) -> Entry {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(size.max(4), 0);
    Entry { partition_key: key.to_owned(), is_alone: false, data }
}

#[tokio::test(start_paused = true)]
async fn requests_keep_to_the_limits_of_kinesis() {
    let script = Script::new([]);
    assert!(
        Fixture::new(script.clone()).put(entries(1..=1001, 10)).await.iter().all(Result::is_ok)
    );
    assert!(script.request_sizes().iter().all(|size| *size <= 500));
    assert_eq!(script.request_sizes().iter().sum::<usize>(), 1001);

    let script = Script::new([]);
    Fixture::new(script.clone()).put(entries(1..=7, (1 << 18) - 1)).await;
    assert_eq!(script.request_sizes(), [4, 3]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_fills_a_request_has_one_for_itself() {
    let script = Script::new([]);
    let mut records = entries(1..=2, 10);
    records.insert(1, keyed("large", 3, 10 << 20));
    assert!(Fixture::new(script.clone()).put(records).await.iter().all(Result::is_ok));
    assert_eq!(script.request_sizes(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_request_leaves_when_it_is_full_or_has_lingered() {
    let script = Script::new([]);
    let fixture = Fixture::new(script.clone());
    let before = Instant::now();
    fixture.put(entries(1..=500, 10)).await;
    assert_eq!((before.elapsed(), script.request_sizes()), (Duration::ZERO, vec![500]));
    fixture.put(entries(1..=2, 10)).await;
    assert!((LINGER..LINGER * 2).contains(&before.elapsed()), "{:?}", before.elapsed());
    assert_eq!(script.request_sizes(), [500, 2]);
}

#[tokio::test(start_paused = true)]
async fn several_requests_are_on_their_way_at_once() {
    let latency = Duration::from_millis(100);
    let script = Script::slow(latency);
    let before = Instant::now();
    Fixture::new(script.clone()).put(entries(1..=2000, 10)).await;
    assert_eq!(script.request_sizes(), [500; 4]);
    assert!(before.elapsed() < latency * 2);
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_entries_are_sent_again() {
    let half = vec![Ok(delivery()), Err(throttled()), Ok(delivery()), Err(throttled())];
    let script = Script::new([Ok(half)]);
    let fixture = Fixture::new(script.clone());
    assert!(fixture.put(entries(1..=4, 4)).await.iter().all(Result::is_ok));
    let numbers: Vec<_> = script.sent().iter().map(|data| data[3]).collect();
    assert_eq!(numbers[..4], [1, 2, 3, 4]);
    assert_eq!(numbers[4..].iter().sum::<u8>(), 6, "the second and the fourth: {numbers:?}");
    let stats = fixture.counters.read();
    assert_eq!((stats.delivered, stats.throttled_tries, stats.failed_tries), (4, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_keeps_failing_is_handed_back_when_its_time_is_up() {
    let script = Script::new((0..1000).map(|_| Ok(vec![Err(throttled())])));
    let fixture = Fixture::new(script.clone());
    let before = Instant::now();
    let results = fixture.put(entries(1..=1, 4)).await;
    let error = results[0].clone().unwrap_err();
    let tries = script.request_sizes().len();
    assert_eq!(error, format!("ProvisionedThroughputExceededException (tries: {tries})"));
    assert!(before.elapsed() <= TIMEOUT && before.elapsed() > TIMEOUT / 2);
    assert!((8..100).contains(&tries), "back-off must grow: {tries} tries");
    assert_eq!(fixture.counters.read().undelivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_not_repeated() {
    let refused = TryError {
        code: "ResourceNotFoundException".into(),
        message: Some("Stream records not found".into()),
        kind: ErrorKind::Record,
    };
    let script = Script::new([Err(refused)]);
    let results = Fixture::new(script.clone()).put(entries(1..=2, 4)).await;
    assert_eq!(script.request_sizes(), [2]);
    let expected = "ResourceNotFoundException: Stream records not found (tries: 1)";
    assert!(results.iter().all(|result| result.clone().unwrap_err() == expected), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_length_acknowledges_nothing() {
    let script = Script::new([Ok(vec![Ok(delivery())])]);
    let results = Fixture::new(script.clone()).put(entries(1..=2, 4)).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(script.sent().len(), 4, "both were sent twice");
}

#[tokio::test(start_paused = true)]
async fn entries_of_one_key_stay_in_order_through_failures() {
    let failing =
        (0..20).map(|at| Ok(vec![if at % 2 == 0 { Err(throttled()) } else { Ok(delivery()) }]));
    let script = Script::new(failing);
    let records = (1..=10).map(|number| keyed("key", number, 4)).collect();
    assert!(Fixture::new(script.clone()).put(records).await.iter().all(Result::is_ok));
    let mut numbers: Vec<_> = script.sent().iter().map(|data| data[3]).collect();
    assert_eq!(script.request_sizes(), [1; 20], "never two of a key on their way");
    numbers.dedup();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_held_up_holds_up_no_other() {
    let answers = [Ok(vec![Err(throttled()), Ok(delivery())])];
    let script = Script::new(answers);
    let fixture = Fixture::new(script.clone());
    let held_up = fixture.queue(keyed("a", 1, 4)).await;
    let behind = fixture.queue(keyed("a", 2, 4)).await;
    let other = fixture.queue(keyed("b", 3, 4)).await;
    result(other.await.unwrap()).unwrap();
    assert_eq!(script.request_sizes(), [2]);
    result(held_up.await.unwrap()).unwrap();
    result(behind.await.unwrap()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_put_wait_and_bounds_memory() {
    let latency = Duration::from_secs(10);
    let script = Script::slow(latency);
    let fixture = Fixture::new(script.clone());
    let before = Instant::now();
    let mut outcomes = Vec::new();
    for entry in entries(1..=5, (1 << 20) - 1) {
        outcomes.push(fixture.queue(entry).await);
    }
    // Four megabytes have room; the fifth waits for an answer.
    assert!(before.elapsed() >= latency);
    assert!(join_all(outcomes).await.into_iter().all(|outcome| result(outcome.unwrap()).is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_batcher_that_is_dropped_sends_what_it_has() {
    let script = Script::slow(Duration::from_secs(1));
    let fixture = Fixture::new(script.clone());
    let outcome = fixture.queue(keyed("a", 1, 4)).await;
    let behind = fixture.queue(keyed("a", 2, 4)).await;
    drop(fixture);
    result(outcome.await.unwrap()).unwrap();
    result(behind.await.unwrap()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batcher_that_is_stopped_hands_everything_back() {
    let script = Script::slow(Duration::from_secs(3600));
    let fixture = Fixture::new(script.clone());
    let on_its_way = fixture.queue(keyed("a", 1, 4)).await;
    let behind = fixture.queue(keyed("a", 2, 4)).await;
    while script.request_sizes().is_empty() {
        tokio::time::advance(LINGER).await;
        yield_now().await;
    }
    fixture.stop.cancel();
    for outcome in [on_its_way, behind] {
        assert_eq!(result(outcome.await.unwrap()).unwrap_err(), "Stopped (tries: 0)");
    }
    let late = fixture.queue(keyed("b", 3, 4)).await;
    assert_eq!(result(late.await.unwrap()).unwrap_err(), "Stopped (tries: 0)");
}

#[test]
fn waits_are_spread_from_zero_to_a_limit_that_doubles() {
    let mut rng = Rng::with_seed(1);
    for (tries, limit) in [(1, 100), (2, 200), (6, 3200), (7, 5000), (40, 5000)] {
        let waits: Vec<_> = (0..1000).map(|_| back_off(tries, &mut rng)).collect();
        let limit = Duration::from_millis(limit);
        assert!(waits.iter().all(|wait| *wait <= limit));
        assert!(waits.iter().any(|wait| *wait < limit / 10));
        assert!(waits.iter().any(|wait| *wait > limit * 9 / 10));
    }
}
