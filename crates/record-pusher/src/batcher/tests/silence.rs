//! A Region that acknowledges nothing does not stop the others.

use super::*;
use crate::builder::MAX_BYTES_IN_FLIGHT;
use crate::capacity::Reservation;

const CAPACITY: usize = MAX_BYTES_IN_FLIGHT;
const SIZE: usize = 10_000;
/// Several times what the capacity holds.
const RECORDS: u32 = 5000;

/// A record that waits for two Regions, and holds capacity until both have a result.
struct Waiting(Mutex<State>);

struct State {
    results: [Option<(Instant, Outcome)>; 2],
    reservation: Option<Reservation>,
}

impl Recipient for Waiting {
    fn resolve(&self, region: usize, result: Outcome) {
        let mut state = self.0.lock().unwrap();
        state.results[region] = Some((Instant::now(), result));
        if state.results.iter().all(Option::is_some) {
            state.reservation = None;
        }
    }

    fn is_acknowledged(&self) -> bool {
        let results = &self.0.lock().unwrap().results;
        results.iter().flatten().any(|(_, result)| result.is_ok())
    }
}

impl Waiting {
    fn result(&self, region: usize) -> Option<(Instant, Outcome)> {
        self.0.lock().unwrap().results[region].clone()
    }

    fn is_delivered(&self, region: usize) -> bool {
        self.result(region).is_some_and(|(_, result)| result.is_ok())
    }

    fn is_returned(&self, region: usize) -> bool {
        self.result(region).is_some_and(|(_, result)| result.is_err())
    }
}

/// Two Regions that share a capacity.
struct Regions {
    batchers: [Batcher; 2],
    capacity: Capacity,
    outages: Arc<Outages>,
}

impl Regions {
    fn new(scripts: [Arc<Script>; 2], policy: OnOutage) -> Self {
        let capacity = Capacity::new(CAPACITY);
        let outages = Arc::new(Outages::new(policy, TIMEOUT));
        let batchers = scripts.map(|script| {
            let settings = BatchSettings {
                linger: LINGER,
                delivery_timeout: TIMEOUT,
                outages: outages.clone(),
                capacity: capacity.clone(),
            };
            let service = Service::Stream("eu-west-1".parse().unwrap());
            Batcher::start(script, service, settings, CancellationToken::new(), Arc::default())
        });
        Self { batchers, capacity, outages }
    }

    /// Queues a record in both Regions, as soon as there is capacity.
    async fn put(&self, entry: Entry) -> Arc<Waiting> {
        let reservation = self.capacity.reserve(entry.size()).await;
        let reserved = reservation.bytes();
        let reservation = Some(reservation);
        let (entry, deadline) = (Arc::new(entry), Instant::now() + TIMEOUT);
        let waiting = Arc::new(Waiting(Mutex::new(State { results: [None, None], reservation })));
        for (region, batcher) in self.batchers.iter().enumerate() {
            let (entry, counters, waiting) = (entry.clone(), Arc::default(), waiting.clone());
            batcher.put(PendingDelivery::new(entry, deadline, reserved, counters, region, waiting));
        }
        waiting
    }

    async fn put_all(&self, entries: Vec<Entry>) -> Vec<Arc<Waiting>> {
        let mut waiting = Vec::new();
        for entry in entries {
            waiting.push(self.put(entry).await);
        }
        waiting
    }
}

/// A Region that answers no request.
fn hanging() -> Arc<Script> {
    Script::slow(Duration::MAX)
}

/// A Region that answers every request with an error.
fn failing(error: &AttemptError) -> Arc<Script> {
    Script::new(vec![Err(error.clone()); 100_000])
}

/// Records with some partition keys, or with one each.
fn records(keys: Option<u32>) -> Vec<Entry> {
    match keys {
        None => entries(1..=RECORDS, SIZE),
        Some(keys) => {
            (1..=RECORDS).map(|number| keyed(&(number % keys).to_string(), number, SIZE)).collect()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_region_leaves_half_of_the_capacity_to_the_others() {
    let unavailable = failure("ServiceUnavailable");
    for (name, silent, keys) in [
        ("hanging", hanging(), None),
        ("failing", failing(&unavailable), None),
        ("throttling", failing(&throttled()), None),
        ("hanging, with keys", hanging(), Some(30)),
        ("failing, with keys", failing(&unavailable), Some(30)),
    ] {
        let regions = Regions::new([Script::new([]), silent], OnOutage::Fail);
        let start = Instant::now();
        let waiting = regions.put_all(records(keys)).await;
        sleep(Duration::from_secs(1)).await;
        let elapsed = start.elapsed();
        assert!(waiting.iter().all(|record| record.is_delivered(0)), "{name}");
        // Without giving way it is one timeout for each filling of the capacity.
        let limit = TIMEOUT * 3 / 2;
        assert!(elapsed < limit, "{name}: the others are stopped for {elapsed:?}");
        let held = SIZE * waiting.iter().filter(|record| record.result(1).is_none()).count();
        assert!(held > CAPACITY / 3, "{name}: {held} bytes are still attempted");
        sleep(2 * TIMEOUT).await;
        assert!(waiting.iter().all(|record| record.is_returned(1)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_comes_back_within_the_timeout_loses_nothing() {
    for error in [throttled(), failure("ServiceUnavailable")] {
        let script = Script::broken_for(TIMEOUT * 2 / 3, error);
        let regions = Regions::new([Script::new([]), script], OnOutage::Fail);
        let waiting = regions.put_all(records(None)).await;
        sleep(2 * TIMEOUT).await;
        assert!(waiting.iter().all(|record| record.is_delivered(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_was_silent_is_asked_again_after_a_pause() {
    let script = Script::broken_for(2 * TIMEOUT, throttled());
    let regions = Regions::new([Script::new([]), script], OnOutage::Fail);
    regions.put_all(records(None)).await;
    sleep(3 * TIMEOUT).await;
    let waiting = regions.put_all(records(None)).await;
    sleep(TIMEOUT).await;
    assert!(waiting.iter().all(|record| record.is_delivered(1)));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_records_have_their_delivery_timeout() {
    let regions = Regions::new([Script::new([]), hanging()], OnOutage::Fail);
    let start = Instant::now();
    let waiting = regions.put_all(records(None)).await;
    sleep(2 * TIMEOUT).await;
    let (ended, _) = waiting[0].result(1).unwrap();
    assert!(ended - start >= TIMEOUT - Duration::from_secs(5), "{:?}", ended - start);
    let code = |record: &Arc<Waiting>| record.result(1).unwrap().1.unwrap_err().code;
    let displaced = waiting.iter().filter(|record| code(record) == "Silent").count();
    assert!(displaced > waiting.len() / 2, "{displaced} gave way to the other Region");
}

#[tokio::test(start_paused = true)]
async fn records_that_no_region_acknowledges_have_their_delivery_timeout() {
    let regions = Regions::new([hanging(), hanging()], OnOutage::Fail);
    let start = Instant::now();
    let waiting = regions.put_all(records(None)).await;
    assert!(start.elapsed() >= TIMEOUT - Duration::from_secs(5), "{:?}", start.elapsed());
    sleep(2 * TIMEOUT).await;
    assert!(waiting.iter().all(|record| record.is_returned(0) && record.is_returned(1)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_region_slows_the_others_down_and_returns_nothing() {
    let slow = Arc::new(Script { link: Some(500_000.0), ..Script::default() });
    let regions = Regions::new([Script::new([]), slow], OnOutage::Fail);
    let waiting = regions.put_all(entries(1..=2000, SIZE)).await;
    sleep(2 * TIMEOUT).await;
    assert!(waiting.iter().all(|record| record.is_delivered(1)));
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_holds_up_is_not_returned() {
    let denied = failure("AccessDeniedException");
    let mut answers = vec![Ok(vec![Ok(delivery())])];
    answers.extend(vec![Err(denied); 100_000]);
    let regions = Regions::new([Script::new([]), Script::new(answers)], OnOutage::Wait);
    regions.put_all(entries(1..=1, SIZE)).await;
    sleep(Duration::from_secs(1)).await;
    let waiting = regions.put_all(entries(2..=600, SIZE)).await;
    sleep(4 * TIMEOUT).await;
    assert!(regions.outages.is_out() && regions.capacity.is_scarce());
    assert!(waiting.iter().all(|record| record.result(1).is_none()));
}
