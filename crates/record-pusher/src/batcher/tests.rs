mod ending;
mod silence;

use std::ops::RangeInclusive;
use std::sync::Mutex;

use aws_outcome::{Failure, Service as Aws};
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::*;
use crate::outage::OnOutage;
use crate::outcome::{Delivery, DeliveryError};
use crate::pending_delivery::Recipient;

type Answer = Result<Vec<AttemptResult>, AttemptError>;
type Outcome = Result<Delivery, DeliveryError>;

/// Answers requests in turn, and accepts everything after that. Records the requests.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<Vec<Arc<Entry>>>>,
    bytes_in_flight: Mutex<usize>,
    latency: Duration,
    /// Bytes in a second that the link carries, which the requests in flight share.
    link: Option<f64>,
    /// Data of an entry for which a request is rejected as a whole.
    poison: Option<Vec<u8>>,
    /// The error of every request until that time.
    broken: Option<(Instant, AttemptError)>,
}

impl StreamApi for Script {
    fn put_records(&self, entries: Vec<Arc<Entry>>, limit: Duration) -> BoxFuture<'_, Answer> {
        let bytes: usize = entries.iter().map(|entry| entry.size()).sum();
        let is_poisoned =
            self.poison.as_ref().is_some_and(|data| entries.iter().any(|e| e.data == *data));
        let answer =
            match self.outage().map(Err).or_else(|| self.answers.lock().unwrap().pop_front()) {
                _ if is_poisoned => Err(failure("InvalidArgumentException")),
                Some(answer) => answer,
                None => Ok(vec![Ok(delivery()); entries.len()]),
            };
        self.requests.lock().unwrap().push(entries);
        async move {
            let in_flight = {
                let mut in_flight = self.bytes_in_flight.lock().unwrap();
                *in_flight += bytes;
                *in_flight
            };
            // As if all that is in flight had begun together.
            yield_now().await;
            let in_flight = in_flight.max(*self.bytes_in_flight.lock().unwrap());
            let link = self.link.map(|link| Duration::from_secs_f64(in_flight as f64 / link));
            let latency = link.unwrap_or(self.latency);
            sleep(latency.min(limit)).await;
            *self.bytes_in_flight.lock().unwrap() -= bytes;
            if latency > limit { Err(Failure::timed_out(limit).into()) } else { answer }
        }
        .boxed()
    }

    fn record_limit(&self) -> BoxFuture<'_, Result<usize, AttemptError>> {
        unreachable!("a batcher does not ask for it")
    }
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn broken_for(duration: Duration, error: AttemptError) -> Arc<Self> {
        Arc::new(Self { broken: Some((Instant::now() + duration, error)), ..Self::default() })
    }

    fn outage(&self) -> Option<AttemptError> {
        let (end, error) = self.broken.as_ref()?;
        (Instant::now() < *end).then(|| error.clone())
    }

    fn slow(latency: Duration) -> Arc<Self> {
        Arc::new(Self { latency, ..Self::default() })
    }

    fn request_sizes(&self) -> Vec<usize> {
        self.requests.lock().unwrap().iter().map(Vec::len).collect()
    }

    /// Returns the data of every entry, in the order of requests.
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
    outages: Arc<Outages>,
}

impl Fixture {
    fn new(script: Arc<Script>) -> Self {
        Self::with_policy(script, OnOutage::Fail)
    }

    fn with_policy(script: Arc<Script>, policy: OnOutage) -> Self {
        let (stop, counters) = (CancellationToken::new(), Arc::<Counters>::default());
        let outages = Arc::new(Outages::new(policy, TIMEOUT));
        let settings = BatchSettings {
            linger: LINGER,
            delivery_timeout: TIMEOUT,
            outages: outages.clone(),
            capacity: Capacity::new(1 << 20),
        };
        let service = Service::Stream("eu-west-1".parse().unwrap());
        let batcher = Batcher::start(script, service, settings, stop.clone(), counters.clone());
        Self { batcher, stop, counters, outages }
    }

    fn queue(&self, entry: Entry) -> oneshot::Receiver<Outcome> {
        let (sender, outcome) = oneshot::channel();
        let caller = Arc::new(Caller(Mutex::new(Some(sender))));
        let (deadline, counters) = (Instant::now() + TIMEOUT, self.counters.clone());
        self.batcher.put(PendingDelivery::new(Arc::new(entry), deadline, 0, counters, 0, caller));
        outcome
    }

    async fn put(&self, entries: Vec<Entry>) -> Vec<Outcome> {
        let outcomes: Vec<_> = entries.into_iter().map(|entry| self.queue(entry)).collect();
        join_all(outcomes).await.into_iter().map(Result::unwrap).collect()
    }
}

struct Caller(Mutex<Option<oneshot::Sender<Outcome>>>);

impl Recipient for Caller {
    fn is_acknowledged(&self) -> bool {
        false
    }

    fn resolve(&self, _region: usize, result: Outcome) {
        let sender = self.0.lock().unwrap().take().expect("one entry has one result");
        let _ = sender.send(result);
    }
}

fn delivery() -> Delivery {
    Delivery { shard_id: "shardId-0".into(), sequence_number: "1".into() }
}

fn failure(code: &str) -> AttemptError {
    Failure::from_code(Aws::Kinesis, code).into()
}

fn throttled() -> AttemptError {
    failure("ProvisionedThroughputExceededException")
}

/// Entries with a key of their own each, whose data begins with their number.
fn entries(numbers: RangeInclusive<u32>, size: usize) -> Vec<Entry> {
    let entry = |number: u32| keyed(&number.to_string(), number, size);
    numbers.map(|number| Entry { unordered: true, ..entry(number) }).collect()
}

fn keyed(key: &str, number: u32, size: usize) -> Entry {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(size.max(4), 0);
    Entry { partition_key: key.to_owned(), unordered: false, data }
}

fn code(outcome: &Outcome) -> &str {
    &outcome.as_ref().unwrap_err().code
}

#[tokio::test(start_paused = true)]
async fn requests_keep_to_the_limits_of_kinesis() {
    let script = Script::new([]);
    let outcomes = Fixture::new(script.clone()).put(entries(1..=1001, 10)).await;
    assert!(outcomes.iter().all(Result::is_ok));
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
async fn a_request_leaves_when_it_is_full_or_has_lingered_or_is_flushed() {
    let script = Script::new([]);
    let fixture = Fixture::new(script.clone());
    let before = Instant::now();
    fixture.put(entries(1..=500, 10)).await;
    assert_eq!((before.elapsed(), script.request_sizes()), (Duration::ZERO, vec![500]));
    fixture.put(entries(1..=2, 10)).await;
    assert!((LINGER..LINGER * 2).contains(&before.elapsed()), "{:?}", before.elapsed());
    assert_eq!(script.request_sizes(), [500, 2]);
    let before = Instant::now();
    let outcome = fixture.queue(keyed("a", 3, 4));
    fixture.batcher.flush();
    outcome.await.unwrap().unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    fixture.put(entries(1..=1, 10)).await;
    assert!(before.elapsed() >= LINGER, "a flush is for what was queued before");
}

#[tokio::test(start_paused = true)]
async fn several_requests_are_in_flight_at_once() {
    let latency = Duration::from_millis(100);
    let script = Script::slow(latency);
    let before = Instant::now();
    Fixture::new(script.clone()).put(entries(1..=2000, 10)).await;
    assert_eq!(script.request_sizes(), [500; 4]);
    assert!(before.elapsed() < latency * 2);
}

#[tokio::test(start_paused = true)]
async fn only_failed_entries_are_retried() {
    let half = vec![Ok(delivery()), Err(throttled()), Ok(delivery()), Err(throttled())];
    let script = Script::new([Ok(half)]);
    let fixture = Fixture::new(script.clone());
    assert!(fixture.put(entries(1..=4, 4)).await.iter().all(Result::is_ok));
    let numbers: Vec<_> = script.sent().iter().map(|data| data[3]).collect();
    assert_eq!(numbers[..4], [1, 2, 3, 4]);
    assert_eq!(numbers[4..].iter().sum::<u8>(), 6, "the second and the fourth: {numbers:?}");
    let stats = fixture.counters.read();
    assert_eq!((stats.delivered, stats.throttled_attempts, stats.failed_attempts), (4, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn retryable_errors_are_retried_until_the_deadline() {
    for answer in [
        Ok(vec![Err(throttled())]),
        Ok(vec![Err(failure("InternalFailure"))]),
        Err(failure("ServiceUnavailable")),
        Err(failure("ResourceInUseException")),
        Err(failure("SlowDown")),
        Err(failure("RequestTimeoutException")),
        Err(AttemptError::invalid_response()),
    ] {
        let script = Script::new((0..1000).map(|_| answer.clone()));
        let fixture = Fixture::new(script.clone());
        let before = Instant::now();
        let outcomes = fixture.put(entries(1..=1, 4)).await;
        let error = outcomes[0].clone().unwrap_err();
        let attempts = script.request_sizes().len();
        assert_eq!((error.attempts as usize, error.kind), (attempts, ErrorKind::Retryable));
        assert!(before.elapsed() <= TIMEOUT && before.elapsed() > TIMEOUT / 2, "{error}");
        assert!((8..100).contains(&attempts), "pauses must grow: {attempts} attempts");
        assert_eq!(fixture.counters.read().undelivered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_error_is_returned_at_once_unless_outages_are_waited_out() {
    for code in ["ResourceNotFoundException", "AccessDeniedException", "ExpiredTokenException"] {
        for policy in [OnOutage::Fail, OnOutage::Wait] {
            let script = Script::new([Err(failure(code))]);
            let fixture = Fixture::with_policy(script.clone(), policy);
            let before = Instant::now();
            let outcomes = fixture.put(entries(1..=2, 4)).await;
            let errors = outcomes.iter().map(|outcome| outcome.clone().unwrap_err());
            let errors: Vec<_> = errors.map(|error| (error.kind, error.code)).collect();
            assert_eq!(errors, vec![(ErrorKind::Operator, code.to_owned()); 2]);
            assert!(before.elapsed() <= LINGER);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_after_a_success_is_waited_out_without_expiring() {
    let script = Script::new([]);
    let fixture = Fixture::with_policy(script.clone(), OnOutage::Wait);
    fixture.put(entries(1..=1, 4)).await;
    let outage = (0..1000).map(|_| Err(failure("ExpiredTokenException")));
    script.answers.lock().unwrap().extend(outage);
    let mut status = fixture.outages.subscribe();
    let outcomes = [fixture.queue(keyed("a", 1, 4)), fixture.queue(keyed("a", 2, 4))];
    status.changed().await.unwrap();
    assert!(status.borrow_and_update().is_some());
    sleep(TIMEOUT * 10).await;
    script.answers.lock().unwrap().clear();
    for outcome in outcomes {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!(*status.borrow_and_update(), None);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_given_a_second_attempt() {
    let off = || Err(failure("RequestExpired"));
    let script = Script::new([off()]);
    assert!(Fixture::new(script).put(entries(1..=3, 4)).await.iter().all(Result::is_ok));
    let script = Script::new((0..100).map(|_| off()));
    let outcomes = Fixture::new(script.clone()).put(entries(1..=1, 4)).await;
    assert_eq!((code(&outcomes[0]), script.request_sizes().len()), ("RequestExpired", 3));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_is_split_until_the_offending_entry_is_alone() {
    let poison = keyed("", 321, 4).data;
    let script = Arc::new(Script { poison: Some(poison), ..Script::default() });
    let outcomes = Fixture::new(script.clone()).put(entries(1..=500, 4)).await;
    let failed: Vec<_> =
        (1..).zip(&outcomes).filter(|(_, outcome)| outcome.is_err()).map(|(n, _)| n).collect();
    assert_eq!(failed, [321]);
    assert_eq!(code(&outcomes[320]), "InvalidArgumentException");
    assert_eq!(outcomes[320].clone().unwrap_err().kind, ErrorKind::Record);
    assert!(script.request_sizes().len() < 25, "{:?}", script.request_sizes());
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_is_offered_less_until_it_carries_it() {
    let script = Arc::new(Script { link: Some(125_000.0), ..Script::default() });
    let outcomes = Fixture::new(script.clone()).put(entries(1..=4000, 520)).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let sent = script.sent().len();
    assert!(sent <= 6000, "{sent} entries were sent for 4000");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_answers_returns_entries_by_their_deadline() {
    let script = Script::slow(Duration::MAX);
    let before = Instant::now();
    let outcomes = Fixture::new(script.clone()).put(entries(1..=4000, 500)).await;
    assert!(outcomes.iter().all(|outcome| matches!(code(outcome), "Timeout" | "Expired")));
    assert!(before.elapsed() < TIMEOUT * 3 / 2, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn deadlines_count_while_a_predecessor_is_in_flight() {
    let script = Script::slow(Duration::MAX);
    let before = Instant::now();
    let records = (1..=100).map(|number| keyed("key", number, 4)).collect();
    let outcomes = Fixture::new(script.clone()).put(records).await;
    assert_eq!(code(&outcomes[0]), "Timeout");
    // The pause that the first one would need may leave its successor time for one short attempt.
    assert!(outcomes[2..].iter().all(|outcome| code(outcome) == "Expired"));
    assert!(before.elapsed() < TIMEOUT * 3 / 2, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_response_of_the_wrong_length_acknowledges_nothing() {
    let script = Script::new([Ok(vec![Ok(delivery())])]);
    let outcomes = Fixture::new(script.clone()).put(entries(1..=2, 4)).await;
    assert!(outcomes.iter().all(Result::is_ok));
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
    assert_eq!(script.request_sizes(), [1; 20], "never two of a key in flight");
    numbers.dedup();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_blocked_key_does_not_block_others() {
    let script = Script::new([Ok(vec![Err(throttled()), Ok(delivery())])]);
    let fixture = Fixture::new(script.clone());
    let first = fixture.queue(keyed("a", 1, 4));
    let blocked = fixture.queue(keyed("a", 2, 4));
    let other = fixture.queue(keyed("b", 3, 4));
    other.await.unwrap().unwrap();
    assert_eq!(script.request_sizes(), [2]);
    first.await.unwrap().unwrap();
    blocked.await.unwrap().unwrap();
}
