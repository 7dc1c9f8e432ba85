//! What a record holds is in no log, error or document that the libraries make, whatever happens to
//! the record, and neither is its data key.
//!
//! Attributes' names are an exception where the README says so: the reason why a record does not fit
//! the table names the attribute. Here that is another one than the marked one.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::time::Duration;

use event_source::{EventSourceMapping, Settings, Shard};
use fake_aws::{Fault, Operation, Rule, Service};
use record_cipher::{Keys, RecordCipher};
use record_consumer::Consumer;
use record_pusher::{Outcome, PushError, Record, RecordPusher, RecordPusherBuilder, Suite};
use record_telemetry::Deadline;
use secrets::{Shown, assert_hidden, find};
use soak::{BUCKET, Environment, KEY_ALIAS, REGIONS, STREAM};
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

const NAME: &str = "markedName";
const VALUE: &str = "markedValue";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_shows_what_a_record_holds() {
    let (logs, all_logs) = capture_logs();
    let test = Test { environment: Environment::new(1).await.unwrap(), shown: Shown::default() };
    let limit = Duration::from_secs(60);
    timeout(limit, test.push_in_every_way()).await.expect("pushing takes too long");
    timeout(limit, test.consume_in_every_way()).await.expect("consuming takes too long");

    let shown = [logs.text(), test.shown.text()].concat();
    for expected in ["batch done", "record quarantined", "record not written", "entry failed"] {
        assert!(shown.contains(expected), "{expected} is not among what is searched");
    }
    for secret in [NAME.as_bytes(), VALUE.as_bytes(), &test.data_key().await] {
        assert_hidden(&shown, secret);
    }
    // The search finds what there is: without the cap, the AWS SDK logs the items that DynamoDB gives
    // back as unprocessed.
    assert!(find(&all_logs.text(), VALUE).is_some());
}

/// What is logged at level `TRACE`, as the programs log it and without their cap.
fn capture_logs() -> (Shown, Shown) {
    let (capped, all) = (Shown::default(), Shown::default());
    let filter = record_telemetry::filter("trace", LevelFilter::TRACE);
    tracing_subscriber::registry()
        .with(fmt::layer().with_ansi(false).with_writer(capped.make_writer()).with_filter(filter))
        .with(
            fmt::layer()
                .with_ansi(false)
                .with_writer(all.make_writer())
                .with_filter(LevelFilter::TRACE),
        )
        .init();
    (capped, all)
}

struct Test {
    environment: Environment,
    /// What a caller gets to see: errors, outcomes, responses and quarantined documents.
    shown: Shown,
}

impl Test {
    async fn push_in_every_way(&self) {
        let settings = |change: fn(RecordPusherBuilder) -> RecordPusherBuilder| {
            let regions = REGIONS.iter().map(|region| region.parse().unwrap()).collect();
            let alias = KEY_ALIAS.parse().unwrap();
            let builder = RecordPusher::builder(STREAM.parse().unwrap(), alias, regions);
            let timeout = Duration::from_secs(1);
            change(builder.suite(Suite::Unsigned).delivery_timeout(timeout))
        };
        self.push(settings(|builder| builder)).await;
        self.push(settings(|builder| builder.suite(Suite::Signed))).await;
        self.push(settings(|builder| builder.aggregate_bytes(10_000))).await;
        self.push(settings(|builder| builder.partition_key_field("no"))).await;
        let outages = [
            Rule::new(Fault::Unavailable).service(Service::Kms),
            Rule::new(Fault::Throttle).service(Service::Kms).region(REGIONS[1]),
            Rule::new(Fault::Unavailable).operation(Operation::PutRecords),
            Rule::new(Fault::Reset).operation(Operation::PutRecords).region(REGIONS[1]),
        ];
        for rule in outages {
            let outage = self.environment.aws.faults().inject(rule);
            self.push(settings(|builder| builder)).await;
            self.environment.aws.faults().lift(outage);
        }
    }

    /// Pushes records that get through, unless something is out of order, and one that is too large.
    async fn push(&self, settings: RecordPusherBuilder) {
        let pusher = settings.clone().build(&self.environment.config).await.unwrap();
        let large = format!(r#"{{"{NAME}":"{VALUE}{}"}}"#, "x".repeat(1 << 20));
        let records = [record("1"), record("2"), large].map(String::into_bytes);
        let records = records.map(|json| Record::from_json(&json).unwrap()).to_vec();
        self.shown.debug(&records);
        for outcome in pusher.put_records(records).await {
            self.show_outcome(&outcome);
        }
        self.shown.debug(&(&pusher, pusher.stats(), settings));
        for text in
            [VALUE.to_owned(), format!(r#"{{"{NAME}":{VALUE}}}"#), format!(r#"["{VALUE}"]"#)]
        {
            let error = Record::from_json(text.as_bytes()).unwrap_err();
            self.shown.error(&error);
        }
    }

    fn show_outcome(&self, outcome: &Result<Outcome, PushError>) {
        self.shown.debug(outcome);
        match outcome {
            Ok(outcome) => {
                let errors =
                    outcome.regions().values().filter_map(|delivery| delivery.as_ref().err());
                errors.for_each(|error| self.shown.error(error));
            }
            Err(error) => self.shown.error(error),
        }
    }

    async fn consume_in_every_way(&self) {
        let messages = self.messages().await;
        let outages = [
            None,
            Some(Rule::new(Fault::Throttle).service(Service::DynamoDb)),
            Some(Rule::new(Fault::Partial { every: 2 }).service(Service::DynamoDb)),
            Some(Rule::new(Fault::Reset).service(Service::DynamoDb)),
            Some(Rule::new(Fault::Unavailable).service(Service::S3)),
            Some(Rule::new(Fault::Unavailable).service(Service::Kms)),
        ];
        for rule in outages {
            // A new one has no data keys yet.
            let consumer = self.environment.consumer(REGIONS[0], false).await.unwrap();
            self.shown.debug(&consumer);
            let outage = rule.map(|rule| self.environment.aws.faults().inject(rule));
            self.deliver(&consumer, &messages).await;
            outage.into_iter().for_each(|outage| self.environment.aws.faults().lift(outage));
        }
        let documents = self.environment.aws.s3().objects(REGIONS[0], BUCKET);
        assert!(documents.len() >= 6, "{}", documents.len());
        documents
            .values()
            .for_each(|document| self.shown.debug(&String::from_utf8_lossy(document)));
    }

    /// Delivers an event once.
    async fn deliver(&self, consumer: &Consumer, messages: &[Vec<u8>]) {
        let mapping = EventSourceMapping::new(Settings::default()).unwrap();
        let arn = format!("arn:aws:kinesis:{}:000000000000:stream/{STREAM}", REGIONS[0]);
        let mut shard = Shard::new(&arn, 0);
        for message in messages {
            shard.push("key", message.clone());
        }
        let report = mapping.drain(&mut shard, |event| async {
            let response =
                consumer.handle(event.into(), Deadline::after(Duration::from_secs(2))).await;
            self.shown.debug(&response);
            Ok(Some(response))
        });
        report.await;
        self.shown.debug(&consumer.stats());
    }

    /// One that can be written, an aggregate, and some that cannot, for every reason.
    async fn messages(&self) -> Vec<Vec<u8>> {
        let cipher = self.cipher().await;
        let mut messages = Vec::new();
        let long = "1".repeat(40);
        for (stream, plaintext) in [
            (STREAM, record("3")),
            (STREAM, format!("[{},{}]", record("4"), record("5"))),
            (STREAM, format!("[{},7]", record("6"))),
            (STREAM, format!("{VALUE}, which is not JSON")),
            (STREAM, format!(r#""{VALUE}""#)),
            (STREAM, format!(r#"{{"{NAME}":"{VALUE}"}}"#)),
            (STREAM, format!(r#"{{"id":"7","long":{long},"{NAME}":"{VALUE}"}}"#)),
            ("another", record("8")),
        ] {
            let message = cipher.encrypt(&stream.parse().unwrap(), plaintext.into_bytes()).await;
            messages.push(message.unwrap().message);
        }
        let mut tampered = messages[0].clone();
        *tampered.last_mut().unwrap() ^= 1;
        messages.push(tampered);
        messages
    }

    async fn cipher(&self) -> RecordCipher {
        let regions = REGIONS.iter().map(|region| region.parse().unwrap()).collect();
        let keys = Keys::Encrypt { key: KEY_ALIAS.parse().unwrap(), regions };
        let cipher = RecordCipher::builder(keys, &self.environment.config).suite(Suite::Unsigned);
        cipher.build().await.unwrap()
    }

    /// The data key of the first record that was pushed.
    async fn data_key(&self) -> Vec<u8> {
        let record = self.environment.aws.kinesis().records(REGIONS[0], STREAM).swap_remove(0);
        let limits = esdk_message::Limits::default();
        let message = esdk_message::UnverifiedMessage::parse(&record.data, limits).unwrap();
        let encrypted = message.encrypted_data_keys().next().unwrap().ciphertext;
        let region = aws_config::Region::new(REGIONS[0]);
        let config = self.environment.config.clone().into_builder().region(region).build();
        let request = aws_sdk_kms::Client::new(&config)
            .decrypt()
            .ciphertext_blob(aws_sdk_kms::primitives::Blob::new(encrypted));
        let request = message
            .encryption_context()
            .fold(request, |request, (key, value)| request.encryption_context(key, value));
        request.send().await.unwrap().plaintext.unwrap().into_inner()
    }
}

fn record(id: &str) -> String {
    format!(r#"{{"id":"{id}","{NAME}":"{VALUE}","list":[{{"{NAME}":"{VALUE}"}}]}}"#)
}
