//! Records that nobody with a key has made cost a bounded number of calls to KMS.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use record_cipher::{CipherError, CipherStats, StreamName};
use record_consumer::{Consumer, Decrypt};
use tokio::time::Instant;

use crate::fixture::{FakeQuarantine, FakeTable, deliver, event};

/// Decrypts good messages with one call to KMS. A forged message costs as many failing calls as it has
/// wrapped keys that look like those of the configured key.
#[derive(Clone)]
struct Kms {
    failing_calls: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: u64,
    errors: u64,
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kms")
    }
}

impl Decrypt for Kms {
    fn decrypt<'a>(
        &'a self,
        _: &'a StreamName,
        message: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CipherError>> {
        let mut state = self.state.lock().unwrap();
        let result = if message.starts_with(b"forged") {
            state.calls += self.failing_calls;
            state.errors += self.failing_calls;
            Err(CipherError::NoUsableKey)
        } else {
            state.calls += 1;
            Ok(message)
        };
        ready(result).boxed()
    }

    fn failed_kms_requests(&self) -> u64 {
        self.state.lock().unwrap().errors
    }

    fn stats(&self) -> CipherStats {
        CipherStats::default()
    }
}

/// Handles a batch whose forged messages come first, and again what is reported, as Lambda does.
/// Returns the calls of each invocation.
async fn drain(failing_calls: u64) -> (Vec<u64>, FakeTable, FakeQuarantine) {
    let kms = Kms { failing_calls, state: Arc::default() };
    let (table, quarantine) = (FakeTable::default(), FakeQuarantine::default());
    let consumer = Consumer::builder(kms.clone(), table.clone(), "id:S".parse().unwrap());
    let consumer = consumer.quarantine(quarantine.clone()).build().unwrap();
    let message = |number: usize| match number {
        1..=90 => format!("forged {number}").into_bytes(),
        good => format!(r#"{{"id":"{good}"}}"#).into_bytes(),
    };
    let (mut first, mut calls) = (1, Vec::new());
    while first <= 100 {
        let before = kms.state.lock().unwrap().calls;
        let records = (first..=100).map(|number| (number, message(number)));
        let deadline = Instant::now() + Duration::from_secs(60);
        let failed = deliver(&consumer, event(records), deadline).await;
        calls.push(kms.state.lock().unwrap().calls - before);
        let lowest = failed.iter().map(|number| number.parse::<usize>().unwrap()).min();
        assert!(lowest.is_none_or(|lowest| lowest > first), "no progress");
        first = lowest.unwrap_or(101);
    }
    (calls, table, quarantine)
}

#[tokio::test(start_paused = true)]
async fn ninety_forged_records_cost_at_most_two_hundred_calls() {
    let (calls, table, quarantine) = drain(2).await;
    assert_eq!(calls, [190]);
    assert_eq!((table.contents().len(), quarantine.keys().len()), (10, 90));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_has_spent_its_calls_goes_on_in_the_next_invocation() {
    let (calls, table, quarantine) = drain(7).await;
    assert!(calls.len() > 2, "{calls:?}");
    // Sixteen records may be in flight when the budget is found spent.
    assert!(calls.iter().all(|calls| *calls <= 200 + 16 * 7), "{calls:?}");
    assert_eq!((table.contents().len(), quarantine.keys().len()), (10, 90));
}
