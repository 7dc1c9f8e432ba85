//! Connections that go dead without a word.

use std::io::Write;
use std::net::Ipv4Addr;

use fake_aws::{Fault, Operation, Rule};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, run, summary, until};

/// A proxy whose connections can be made half-open: nothing passes, and nobody is told.
struct Proxy {
    url: String,
    /// Counts how often that was done.
    freezes: watch::Sender<u32>,
}

impl Proxy {
    async fn start(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let freezes = watch::Sender::default();
        let subscriber = freezes.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, upstream.clone(), subscriber.clone()));
            }
        });
        Self { url, freezes }
    }

    /// Silences the connections that are open. New ones work.
    fn freeze(&self) {
        self.freezes.send_modify(|freezes| *freezes += 1);
    }
}

async fn pass(mut client: TcpStream, upstream: String, mut freezes: watch::Receiver<u32>) {
    freezes.borrow_and_update();
    let mut server = TcpStream::connect(upstream).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        // Both stay open.
        _ = freezes.changed() => std::future::pending().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_half_open_cost_one_attempt() {
    let fixture = Fixture::new("half_open").await;
    let proxy = Proxy::start(fixture.aws.url()).await;
    // Small, so that KMS is called again too.
    let mut push = fixture.push(&["--cache-max-messages", "10"]);
    let mut child = push.env("AWS_ENDPOINT_URL", &proxy.url).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for round in 1..=3 {
        input.write_all(lines(50).as_bytes()).unwrap();
        until(|| [HERE, THERE].iter().all(|region| fixture.count(region) == 50 * round)).await;
        proxy.freeze();
    }
    drop(input);
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let summary = summary(&output);
    for region in [HERE, THERE] {
        let failed = summary["regions"][region]["failed_attempts"].as_u64().unwrap();
        assert!(failed <= 100, "{region}: {failed} attempts of 150 messages failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_answer_costs_one_attempt() {
    for operation in [Operation::GenerateDataKey, Operation::Encrypt, Operation::PutRecords] {
        let fixture = Fixture::new(&format!("no_answer_{operation:?}")).await;
        fixture.inject(Rule::new(Fault::Hang).operation(operation).times(1));
        let output = run(fixture.push(&[]), lines(20)).await;
        assert_eq!(output.status.code(), Some(0), "{operation:?} {}", errors(&output));
        assert_eq!((fixture.count(HERE), fixture.count(THERE)), (20, 20), "{operation:?}");
        let faults = |region| fixture.aws.faults().calls(region, operation).faults;
        assert_eq!(faults(HERE) + faults(THERE), 1, "{operation:?}");
    }
}
