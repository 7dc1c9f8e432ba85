//! A pusher with the real AWS clients, against an endpoint that fails on command.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, Fault, Operation, Rule, Service, StreamSettings, kms_key_arn};
use record_cipher::{EncryptFor, Keys, RecordCipher};
use record_pusher::{
    ErrorKind, MessagePusher, Outcome, PushError, PusherSettings, Record, RecordPusher, RegionName,
};
use serde_json::{Value, json};

const HERE: &str = "us-east-1";
const THERE: &str = "eu-west-1";
const ALIAS: &str = "alias/records";

struct Fixture {
    aws: FakeAws,
    config: SdkConfig,
    settings: PusherSettings,
}

impl Fixture {
    async fn new() -> Self {
        let aws = FakeAws::start().await.unwrap();
        for region in [HERE, THERE] {
            aws.kinesis().create_stream(region, "records", StreamSettings::default());
        }
        let credentials = Credentials::new("id", "secret", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(aws.url())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let regions = vec![name(HERE), name(THERE)];
        let mut settings =
            PusherSettings::new("records".parse().unwrap(), ALIAS.parse().unwrap(), regions);
        settings.suite = record_pusher::Suite::Unsigned;
        Self { aws, config, settings }
    }

    async fn pusher(&self) -> RecordPusher {
        RecordPusher::new(&self.settings, &self.config).await.unwrap()
    }

    /// The plaintexts that are in a Region's stream, in the order in which it took them.
    async fn plaintexts(&self, region: &str) -> Vec<Value> {
        let keys = Keys::Decrypt(vec![kms_key_arn(region, ALIAS).parse().unwrap()]);
        let cipher = RecordCipher::builder(keys, &self.config).build().await.unwrap();
        let mut plaintexts = Vec::new();
        for record in self.aws.kinesis().records(region, "records") {
            let plaintext = cipher.decrypt(&"records".parse().unwrap(), record.data).await.unwrap();
            plaintexts.push(serde_json::from_slice(&plaintext).unwrap());
        }
        plaintexts
    }

    fn count(&self, region: &str) -> usize {
        self.aws.kinesis().records(region, "records").len()
    }
}

fn name(region: &str) -> RegionName {
    region.parse().unwrap()
}

fn record(value: &Value) -> Record {
    Record::from_json(value.to_string().as_bytes()).unwrap()
}

fn records(count: u32) -> Vec<Record> {
    (0..count).map(|number| record(&json!({ "id": number }))).collect()
}

fn code(outcome: &Outcome, region: &str) -> String {
    outcome.regions()[&name(region)].clone().unwrap_err().code
}

#[tokio::test(flavor = "multi_thread")]
async fn every_region_gets_the_same_ciphertext_under_the_same_key() {
    let fixture = Fixture::new().await;
    let json = r#"{"id":"1","amount":12.500,"long":123456789012345678901234567890}"#;
    let record = Record::from_json(json.as_bytes()).unwrap();
    let outcome = fixture.pusher().await.put_record(record).await.unwrap();
    assert!(outcome.is_delivered());

    let [here, there] =
        [HERE, THERE].map(|region| fixture.aws.kinesis().records(region, "records"));
    assert_eq!((here.len(), &here[0].data), (1, &there[0].data));
    assert_eq!(here[0].partition_key, there[0].partition_key);
    assert_eq!(outcome.partition_key(), here[0].partition_key);
    assert_eq!(outcome.message(), here[0].data);
    let key = uuid::Uuid::parse_str(outcome.partition_key()).unwrap();
    assert_eq!(key.get_version_num(), 4);
    assert_eq!(fixture.plaintexts(THERE).await, [serde_json::from_str::<Value>(json).unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_lost_to_faults_or_delivered_twice_without_one() {
    let fixture = Fixture::new().await;
    for fault in [Fault::Throttle, Fault::Reset, Fault::InternalError, Fault::Partial { every: 3 }]
    {
        fixture.aws.faults().inject(Rule::new(fault).operation(Operation::PutRecords).times(2));
    }
    let pusher = fixture.pusher().await;
    let outcomes = pusher.put_records(records(1200)).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    for region in [HERE, THERE] {
        let mut ids: Vec<_> = fixture.plaintexts(region).await;
        ids.sort_by_key(|value| value["id"].as_u64());
        assert_eq!(ids, (0..1200).map(|id| json!({ "id": id })).collect::<Vec<_>>());
    }
    let stats = pusher.stats().regions;
    let throttled: u64 = stats.values().map(|stats| stats.throttled_tries).sum();
    let failed: u64 = stats.values().map(|stats| stats.failed_tries).sum();
    assert!(throttled > 0 && failed > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_answer_holds_up_no_other() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE));
    let pusher = fixture.pusher().await;
    let mut pushed = Vec::new();
    for record in records(2000) {
        pushed.push(pusher.queue_record(record).await);
    }
    while fixture.count(HERE) < 2000 {
        tokio::task::yield_now().await;
    }
    pusher.stop();
    for outcome in futures::future::join_all(pushed).await {
        let outcome = outcome.unwrap();
        assert!(outcome.regions()[&name(HERE)].is_ok());
        assert_eq!(code(&outcome, THERE), "Stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_whose_queue_is_full_keeps_nothing_back_that_another_was_given() {
    // Of small records, a queue holds so many.
    const FULL: usize = 4096;
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE));
    let pusher = fixture.pusher().await;
    let pushed = tokio::spawn({
        let pusher = pusher.clone();
        async move { pusher.put_records(records(5000)).await }
    });
    let arrived = async {
        while fixture.count(HERE) <= FULL {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.unwrap();
    assert_eq!(fixture.count(HERE), FULL + 1, "the next one waits for room in the other Region");
    pusher.stop();
    let pushed = tokio::time::timeout(Duration::from_secs(10), pushed).await;
    assert_eq!(pushed.expect("a pusher that was stopped answers").unwrap().len(), 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_fails_its_region_alone_and_at_once() {
    let mut fixture = Fixture::new().await;
    fixture.settings.regions.push(name("ap-south-1"));
    let outcome = fixture.pusher().await.put_record(record(&json!({}))).await.unwrap();
    assert!(!outcome.is_delivered());
    assert_eq!(code(&outcome, "ap-south-1"), "ResourceNotFoundException");
    assert!(outcome.regions()[&name(HERE)].is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_in_time_is_handed_back_and_can_be_put_later() {
    let mut fixture = Fixture::new().await;
    fixture.settings.delivery_timeout_seconds = 1;
    let rule = Rule::new(Fault::Unavailable).service(Service::Kinesis).region(THERE);
    let outage = fixture.aws.faults().inject(rule);
    let outcome = fixture.pusher().await.put_record(record(&json!({ "id": 7 }))).await.unwrap();
    let error = outcome.regions()[&name(THERE)].clone().unwrap_err();
    assert!(error.tries > 1 && error.kind == ErrorKind::Retryable && error.message_is_readable());

    fixture.aws.faults().lift(outage);
    let stream = "records".parse().unwrap();
    let timeout = Duration::from_secs(5);
    let later = MessagePusher::new(&name(THERE), &stream, timeout, &fixture.config);
    let (key, message) = (outcome.partition_key().to_owned(), outcome.message().to_vec());
    later.queue(key, message).await.await.unwrap();
    assert_eq!(fixture.plaintexts(THERE).await, [json!({ "id": 7 })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_its_key_gets_nothing_it_could_not_read() {
    let mut fixture = Fixture::new().await;
    fixture.settings.encrypt_for = EncryptFor::Available;
    fixture.aws.faults().inject(Rule::new(Fault::Unavailable).service(Service::Kms).region(HERE));
    let outcome = fixture.pusher().await.put_record(record(&json!({}))).await.unwrap();
    let error = outcome.regions()[&name(HERE)].clone().unwrap_err();
    assert_eq!((error.code.as_str(), error.message_is_readable()), ("NotEncrypted", false));
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (0, 1));
    assert_eq!(fixture.plaintexts(THERE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_all_regions_a_missing_key_fails_the_record_by_the_regions_name() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Unavailable).service(Service::Kms).region(THERE));
    let error = fixture.pusher().await.put_record(record(&json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("AWS KMS in eu-west-1"), "{error}");
    assert_eq!((error.kind(), fixture.count(HERE)), (ErrorKind::Retryable, 0));
}

fn of_size(bytes: usize) -> Record {
    record(&json!({ "id": "1", "text": "x".repeat(bytes) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_record_is_limited_by_the_stream() {
    let fixture = Fixture::new().await;
    let large = StreamSettings { max_record_kib: 3 << 10, ..StreamSettings::default() };
    fixture.aws.kinesis().create_stream(HERE, "records", large);
    let pusher = fixture.pusher().await;
    let error = pusher.put_record(of_size(2 << 20)).await.unwrap_err();
    let PushError::TooLarge { size, limit, region } = &error else { panic!("{error}") };
    assert!(*size > 2 << 20 && *limit == 1 << 20 && *region == name(THERE), "{error}");
    assert_eq!(error.kind(), ErrorKind::Record);
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (0, 0), "refused before any put");

    fixture.aws.kinesis().create_stream(THERE, "records", large);
    assert!(pusher.put_record(of_size(2 << 20)).await.unwrap().is_delivered());
    assert!(pusher.put_record(of_size(3 << 20)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_asked_for_their_limit_only_if_it_matters() {
    let fixture = Fixture::new().await;
    let describe = Operation::DescribeStreamSummary;
    fixture.aws.faults().inject(Rule::new(Fault::Throttle).operation(describe));
    let pusher = fixture.pusher().await;
    assert!(pusher.put_record(of_size(1_000_000)).await.unwrap().is_delivered());
    assert_eq!(fixture.aws.faults().calls(HERE, describe).calls, 0);
    let error = pusher.put_record(of_size(1 << 20)).await.unwrap_err();
    assert!(matches!(error, PushError::UnknownLimit { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Retryable);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_key_stay_in_order_through_faults() {
    let mut fixture = Fixture::new().await;
    fixture.settings.partition_key_field = Some("account".to_owned());
    fixture
        .aws
        .faults()
        .inject(Rule::new(Fault::Partial { every: 2 }).operation(Operation::PutRecords).times(10));
    let of = |number: u32| record(&json!({ "account": number % 3, "number": number }));
    let outcomes = fixture.pusher().await.put_records((0..60).map(of).collect()).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    for account in 0..3 {
        let plaintexts = fixture.plaintexts(THERE).await;
        let numbers = plaintexts.iter().filter(|record| record["account"] == account);
        let numbers: Vec<_> = numbers.map(|record| record["number"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted() && numbers.len() == 20, "{numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_key_is_a_short_text_or_a_number() {
    let mut fixture = Fixture::new().await;
    fixture.settings.partition_key_field = Some("key".to_owned());
    let pusher = fixture.pusher().await;
    let long = "ß".repeat(256);
    for (key, expected) in [(json!("a"), "a"), (json!(-1.50), "-1.5"), (json!(long), &long)] {
        let outcome = pusher.put_record(record(&json!({ "key": key }))).await.unwrap();
        assert_eq!(outcome.partition_key(), expected);
    }
    let longer = format!("{long}ß");
    for key in [json!(""), json!(longer), json!(null), json!(true), json!(["a"]), json!({})] {
        let error = pusher.put_record(record(&json!({ "key": key }))).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the field \"key\" is no partition key: it must be a string of 1 to 256 characters, or a \
             number"
        );
    }
    assert!(pusher.put_record(record(&json!({ "id": 1 }))).await.is_err());
}

/// A message holds one record, or a list.
fn records_of(message: Value) -> Vec<Value> {
    match message {
        Value::Array(records) => records,
        record => vec![record],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_records_share_messages_and_each_has_its_outcome() {
    let mut fixture = Fixture::new().await;
    fixture.settings.aggregate_bytes = 1000;
    let pusher = fixture.pusher().await;
    let outcomes = pusher.put_records(records(500)).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    let messages = fixture.plaintexts(THERE).await;
    assert!((5..20).contains(&messages.len()), "{} messages", messages.len());
    assert!(messages.iter().all(|message| message.to_string().len() <= 1000));
    let together = messages.into_iter().flat_map(records_of);
    let mut ids: Vec<_> = together.map(|record| record["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
    assert_eq!(outcomes[0].as_ref().unwrap().message(), outcomes[1].as_ref().unwrap().message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_alone_is_no_list_and_a_large_one_has_its_own_message() {
    let mut fixture = Fixture::new().await;
    fixture.settings.aggregate_bytes = 100;
    let pusher = fixture.pusher().await;
    pusher.put_record(record(&json!({ "id": 1 }))).await.unwrap();
    pusher.put_record(of_size(500)).await.unwrap();
    assert!(fixture.plaintexts(HERE).await.iter().all(Value::is_object));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_hold_records_of_one_key_in_order() {
    let mut fixture = Fixture::new().await;
    fixture.settings.aggregate_bytes = 200;
    fixture.settings.partition_key_field = Some("account".to_owned());
    let of = |number: u32| record(&json!({ "account": number % 3, "number": number }));
    let outcomes = fixture.pusher().await.put_records((0..60).map(of).collect()).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    let messages = fixture.plaintexts(HERE).await;
    assert!(messages.len() < 30);
    for account in 0..3 {
        let lists = messages.iter().cloned().map(records_of);
        let records: Vec<_> =
            lists.filter(|list| list[0]["account"] == account).flatten().collect();
        assert!(records.iter().all(|record| record["account"] == account));
        assert!(records.is_sorted_by_key(|record| record["number"].as_u64()));
        assert_eq!(records.len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pusher_that_is_dropped_sends_what_was_queued() {
    let fixture = Fixture::new().await;
    let pusher = fixture.pusher().await;
    let pushed = pusher.queue_record(record(&json!({}))).await;
    drop(pusher);
    assert!(pushed.await.unwrap().is_delivered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pusher_that_is_stopped_takes_nothing_more() {
    let fixture = Fixture::new().await;
    let pusher = fixture.pusher().await;
    pusher.stop();
    let error = pusher.put_record(record(&json!({}))).await.unwrap_err();
    assert_eq!((error.clone(), error.kind()), (PushError::Stopped, ErrorKind::Retryable));
}

#[test]
fn debug_shows_no_message() {
    // An outcome is the one public type that holds a message.
    let shown = |outcome: &Outcome| format!("{outcome:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runtime.block_on(async {
        let fixture = Fixture::new().await;
        fixture.pusher().await.put_record(record(&json!({}))).await.unwrap()
    });
    assert!(shown(&outcome).contains("Entry { size: "), "{}", shown(&outcome));
}
