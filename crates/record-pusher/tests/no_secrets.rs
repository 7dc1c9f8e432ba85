//! The function record-pusher, logging all they can, show nothing of what records
//! hold.

mod programs;

use secrets::assert_hidden;

use programs::Fixture;

const NAME: &str = "markedName";
const VALUE: &str = "markedValue";

#[tokio::test(flavor = "multi_thread")]
async fn record_pusher_shows_nothing_of_an_event() {
    let fixture = Fixture::new("no_secrets_function").await;
    let events = [
        record(1),
        format!(r#"{{"records":[{},{}]}}"#, record(2), record(3)),
        format!(r#"{{"records":["{VALUE}"]}}"#),
        format!(r#""{VALUE}""#),
    ];
    let log = fixture.serve(&events, &[]).await;
    assert!(log.contains("ERROR") && log.contains("RecordsIn"), "{log}");
    expect_no_secrets(&log);
    let invocations = fixture.aws.runtime_api().invocations();
    assert_eq!(invocations.iter().filter(|invocation| invocation.outcome.is_err()).count(), 2);
    for invocation in invocations {
        let (Ok(answer) | Err(answer)) = invocation.outcome;
        expect_no_secrets(&String::from_utf8_lossy(&answer));
    }
}

fn record(id: u32) -> String {
    format!(r#"{{"id":"{id}","{NAME}":"{VALUE}"}}"#)
}

fn expect_no_secrets(text: &str) {
    assert_hidden(text, NAME);
    assert_hidden(text, VALUE);
}
