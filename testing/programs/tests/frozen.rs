//! Lambda freezes an execution environment between invocations, and its connections die meanwhile, with
//! a reset or without a word. The next invocation works, and nothing is lost.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::process::Command;
use std::time::Duration;

use fake_aws::FakeAws;
use futures::future::join_all;
use program_tests::{
    Extension, Fixture, Process, REGION, STREAM, TABLE, TTL, consumer_event, messages, pusher_event,
};
use rustix::process::Signal;
use tokio::time::{sleep, timeout};

/// Records of an event.
const RECORDS: usize = 10;
const INVOCATIONS: usize = 3;
/// Longer than a value of the extension's cache is good.
const FREEZE: Duration = Duration::from_millis(1500);
/// Time that an invocation may take. A silent connection costs a timeout of three or five seconds for
/// each service; the invocation itself would have 15 minutes.
const INVOCATION: Duration = Duration::from_secs(45);

/// How connections die during a freeze.
#[derive(Debug, Clone, Copy)]
enum Death {
    Reset,
    Silence,
}

impl Death {
    const ALL: [Self; 2] = [Self::Reset, Self::Silence];

    async fn during_a_freeze(self, process: &Process, servers: &[&FakeAws]) {
        process.signal(Signal::STOP);
        for server in servers {
            match self {
                Self::Reset => server.break_connections(),
                Self::Silence => server.silence_connections(),
            }
        }
        sleep(FREEZE).await;
        process.signal(Signal::CONT);
    }
}

/// Sets a command up as on Lambda: credentials come from within the execution environment, and KMS has a
/// host of its own. A client keeps connections by host, and each of them that is dead costs a timeout.
/// Returns KMS.
async fn set_up(command: &mut Command, fixture: &Fixture) -> FakeAws {
    let kms = FakeAws::start().await.unwrap();
    command.env("AWS_ENDPOINT_URL_KMS", kms.url());
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", fixture.lambda.credentials_url());
    kms
}

/// Returns the record numbers of an invocation.
fn ids(invocation: usize) -> std::ops::Range<usize> {
    invocation * RECORDS..(invocation + 1) * RECORDS
}

#[tokio::test(flavor = "multi_thread")]
async fn record_pusher_delivers_after_each_freeze() {
    join_all(Death::ALL.map(async |death| {
        let fixture = Fixture::new(&format!("frozen-pusher-{death:?}")).await;
        let mut command = fixture.pusher();
        // KMS is needed in each invocation.
        command.env("CACHE_MAX_MESSAGES", RECORDS.to_string());
        let kms = set_up(&mut command, &fixture).await;
        let function = fixture.start(command);
        for invocation in 0..INVOCATIONS {
            let response = timeout(INVOCATION, fixture.invoke(pusher_event(ids(invocation))));
            let response = response.await.expect("a dead connection costs little").unwrap();
            assert!(response.contains(r#""undelivered":0"#), "{response}");
            death.during_a_freeze(&function, &[&fixture.aws, &kms]).await;
        }
        let arrived = fixture.aws.kinesis().records(REGION, STREAM).len();
        assert!(arrived >= INVOCATIONS * RECORDS, "{arrived}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record_consumer_writes_after_each_freeze() {
    join_all(Death::ALL.map(async |death| {
        let fixture = Fixture::new(&format!("frozen-consumer-{death:?}")).await;
        let mut command = fixture.consumer();
        let kms = set_up(&mut command, &fixture).await;
        let function = fixture.start(command);
        for invocation in 0..INVOCATIONS {
            let messages = messages(&fixture.lambda, ids(invocation)).await;
            let event = consumer_event(ids(invocation).start, &messages);
            let response = timeout(INVOCATION, fixture.invoke(event)).await;
            let response = response.expect("a dead connection costs little").unwrap();
            assert_eq!(response, r#"{"batchItemFailures":[]}"#, "{}", function.output());
            death.during_a_freeze(&function, &[&fixture.aws, &kms]).await;
        }
        let written = fixture.aws.dynamodb().items(REGION, TABLE).len();
        assert_eq!(written, INVOCATIONS * RECORDS);
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_extension_serves_new_values_after_each_freeze() {
    assert!(FREEZE > TTL);
    join_all(Death::ALL.map(async |death| {
        let fixture = Fixture::new(&format!("frozen-extension-{death:?}")).await;
        fixture.put_item("0").await;
        let extension = Extension::start(&fixture).await;
        for invocation in 1..=INVOCATIONS {
            // Only a value that somebody has asked for is loaded again.
            assert!(extension.get(false).await.is_some());
            fixture.put_item(&invocation.to_string()).await;
            death.during_a_freeze(&extension.process, &[&fixture.aws]).await;
            let expected = format!(r#""value":"{invocation}""#);
            let serve = async {
                extension.invoke(&fixture, invocation as u64).await;
                // Until then the old value is served.
                while !extension.get(true).await.expect("a value").contains(&expected) {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            timeout(INVOCATION, serve).await.expect("a dead connection costs little");
        }
    }))
    .await;
}
