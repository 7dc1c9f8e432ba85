//! What the consumer makes of the error codes of the operations that it calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_outcome::{Failure, Service};
use futures::future::{BoxFuture, FutureExt, ready};
use record_consumer::Quarantine;
use tokio::time::Instant;

use crate::fixture::{FakeTable, Fixture, builder, cipher, deliver, error, event, fixture, pairs};

/// What becomes of an item, and of the others in its request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// The request is repeated.
    Retried,
    /// The item's record is quarantined, and the others are written.
    Quarantined,
    /// The item's record is reported, and the others are written.
    Reported,
}
use Verdict::{Quarantined, Reported, Retried};

/// The errors of `BatchWriteItem` and `PutItem`, those that all operations of AWS may have, and one
/// that nobody knows.
const DYNAMODB: [(&str, Verdict); 30] = [
    ("InternalFailure", Retried),
    ("InternalServerError", Retried),
    ("LimitExceededException", Retried),
    ("ProvisionedThroughputExceededException", Retried),
    ("ReplicatedWriteConflictException", Retried),
    ("RequestLimitExceeded", Retried),
    ("RequestTimeout", Retried),
    ("RequestTimeoutException", Retried),
    ("ResourceInUseException", Retried),
    ("ServiceUnavailable", Retried),
    ("ServiceUnavailableException", Retried),
    ("SlowDown", Retried),
    ("ThrottlingException", Retried),
    ("TransactionConflictException", Retried),
    ("TransactionInProgressException", Retried),
    ("ItemCollectionSizeLimitExceededException", Quarantined),
    ("RequestEntityTooLarge", Quarantined),
    ("SerializationException", Quarantined),
    ("ValidationException", Quarantined),
    ("AccessDeniedException", Reported),
    ("ExpiredTokenException", Reported),
    ("IncompleteSignature", Reported),
    ("InvalidSignatureException", Reported),
    ("MissingAuthenticationToken", Reported),
    ("NobodyKnowsThisException", Reported),
    ("NotAuthorized", Reported),
    ("OptInRequired", Reported),
    ("RequestExpired", Reported),
    ("ResourceNotFoundException", Reported),
    ("UnrecognizedClientException", Reported),
];

const RECORDS: [&str; 5] = [
    r#"{"id":"a","v":1}"#,
    r#"{"id":"b","v":2}"#,
    r#"{"id":"c","v":77}"#,
    r#"{"id":"d","v":4}"#,
    r#"{"id":"e","v":5}"#,
];

/// With and without versions.
fn fixtures(table: impl Fn() -> FakeTable) -> [Fixture; 2] {
    [fixture(table()).with_quarantine(), fixture(table()).with_versions().with_quarantine()]
}

#[tokio::test(start_paused = true)]
async fn an_item_that_fails_a_request_is_found_and_judged_by_the_code() {
    let others = pairs(&[("a", "1"), ("b", "2"), ("d", "4"), ("e", "5")]);
    for (code, verdict) in DYNAMODB.into_iter().filter(|(_, verdict)| *verdict != Retried) {
        for fixture in fixtures(|| FakeTable::default().failing_on("77", code)) {
            let failed = fixture.handle_texts(&RECORDS).await;
            assert_eq!(fixture.table.contents(), others, "{code}");
            let culprit = ["3".to_owned()];
            let (reported, quarantined): (&[_], &[_]) = match verdict {
                Quarantined => (&[], &culprit),
                _ => (&culprit, &[]),
            };
            assert_eq!(failed, reported, "{code}");
            assert_eq!(fixture.quarantined.sequence_numbers(), quarantined, "{code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_succeed_later_is_repeated() {
    for (code, _) in DYNAMODB.into_iter().filter(|(_, verdict)| *verdict == Retried) {
        let table =
            || (0..5).fold(FakeTable::default(), |table, _| table.then(move |_| Err(error(code))));
        for fixture in fixtures(table) {
            assert!(fixture.handle_texts(&RECORDS).await.is_empty(), "{code}");
            assert_eq!(fixture.table.contents().len(), RECORDS.len(), "{code}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_denies_everything_is_not_asked_for_every_item() {
    let records: Vec<_> = (0..500).map(|id| format!(r#"{{"id":"{id}","v":1}}"#)).collect();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    for code in ["AccessDeniedException", "ResourceNotFoundException"] {
        for fixture in fixtures(|| FakeTable::default().failing(&error(code))) {
            assert_eq!(fixture.handle_texts(&records).await.len(), 500);
            assert!(fixture.quarantined.keys().is_empty());
            let requests = fixture.table.requests().len();
            assert!(requests < 100, "{requests}");
        }
    }
}

/// A quarantine that answers a code a number of times.
#[derive(Debug, Clone)]
struct FailingQuarantine(&'static str, Arc<AtomicUsize>);

impl Quarantine for FailingQuarantine {
    fn store(&self, _: String, _: Vec<u8>) -> BoxFuture<'_, Result<(), Failure>> {
        let calls = self.1.fetch_add(1, Ordering::Relaxed);
        let failure = Failure::from_code(Service::S3, self.0);
        ready(if calls < 3 { Err(failure) } else { Ok(()) }).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_is_asked_again_if_that_can_help() {
    let cipher = cipher();
    let stream = "records".parse().unwrap();
    for (code, is_retried) in [
        ("InternalError", true),
        ("RequestTimeout", true),
        ("ServiceUnavailable", true),
        ("SlowDown", true),
        ("AccessDenied", false),
        ("ExpiredToken", false),
        ("InvalidAccessKeyId", false),
        ("KMS.DisabledException", false),
        ("NoSuchBucket", false),
        ("NobodyKnowsThis", false),
        ("SignatureDoesNotMatch", false),
    ] {
        let quarantine = FailingQuarantine(code, Arc::default());
        let consumer =
            builder(&cipher, FakeTable::default()).quarantine(quarantine).build().unwrap();
        let message = cipher.encrypt(&stream, b"[]".to_vec()).await.unwrap().message;
        let deadline = Instant::now() + Duration::from_secs(60);
        let event = event([(1, message)]);
        let failed = deliver(&consumer, event, deadline).await;
        assert_eq!(failed.is_empty(), is_retried, "{code}");
    }
}
