//! A pusher with the real AWS clients, against an endpoint that fails on command.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, Fault, Operation, Rule, Service, StreamSettings, kms_key_arn};
use record_cipher::{Keys, RecordCipher};
use record_pusher::{
    EncryptFor, ErrorKind, MessagePusher, Outcome, PushError, Record, RecordPusher,
    RecordPusherBuilder, RegionName, SetupError, Suite, Undelivered,
};
use serde_json::{Value, json};

const HERE: &str = "us-east-1";
const THERE: &str = "eu-west-1";
const ALIAS: &str = "alias/records";

struct Fixture {
    aws: FakeAws,
    config: SdkConfig,
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
        Self { aws, config }
    }

    fn builder(&self) -> RecordPusherBuilder {
        self.builder_for(vec![name(HERE), name(THERE)])
    }

    fn builder_for(&self, regions: Vec<RegionName>) -> RecordPusherBuilder {
        RecordPusher::builder("records".parse().unwrap(), ALIAS.parse().unwrap(), regions)
            .suite(Suite::Unsigned)
    }

    async fn build(&self, builder: RecordPusherBuilder) -> RecordPusher {
        builder.build(&self.config).await.unwrap()
    }

    async fn pusher(&self) -> RecordPusher {
        self.build(self.builder()).await
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

    /// The same, without the faults.
    async fn plaintexts_lifted(&self, region: &str) -> Vec<Value> {
        self.aws.faults().lift_all();
        self.plaintexts(region).await
    }

    /// Decrypts the message of an outcome.
    async fn plaintext(&self, region: &str, outcome: &Outcome) -> Value {
        let keys = Keys::Decrypt(vec![kms_key_arn(region, ALIAS).parse().unwrap()]);
        let cipher = RecordCipher::builder(keys, &self.config).build().await.unwrap();
        let message = outcome.message().to_vec();
        let plaintext = cipher.decrypt(&"records".parse().unwrap(), message).await.unwrap();
        serde_json::from_slice(&plaintext).unwrap()
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
    let throttled: u64 = stats.values().map(|stats| stats.throttled_attempts).sum();
    let failed: u64 = stats.values().map(|stats| stats.failed_attempts).sum();
    assert!(throttled > 0 && failed > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_answer_does_not_delay_others() {
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
async fn a_pusher_holds_so_many_bytes_and_gives_them_to_every_region() {
    const BYTES: usize = 100_000;
    const HELD: usize = (8 << 20) / (BYTES + 1024 + "{'id':'1','text':''}".len());
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE));
    let pusher = fixture.pusher().await;
    let pushed = tokio::spawn({
        let pusher = pusher.clone();
        async move { pusher.put_records((0..400).map(|_| of_size(BYTES)).collect()).await }
    });
    until(|| fixture.count(HERE) >= HELD).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fixture.count(HERE), HELD, "the next one waits for capacity");
    pusher.stop();
    let pushed = tokio::time::timeout(Duration::from_secs(10), pushed).await;
    assert_eq!(pushed.expect("a pusher that was stopped answers").unwrap().len(), 400);
}

/// Waits until something is so, on whatever time that takes.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it takes too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_fails_its_region_alone_and_at_once() {
    let fixture = Fixture::new().await;
    let regions = [HERE, THERE, "ap-south-1"].map(name).to_vec();
    let outcome = fixture
        .build(fixture.builder_for(regions))
        .await
        .put_record(record(&json!({})))
        .await
        .unwrap();
    assert!(!outcome.is_delivered());
    assert_eq!(code(&outcome, "ap-south-1"), "ResourceNotFoundException");
    assert!(outcome.regions()[&name(HERE)].is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_in_time_is_handed_back_and_can_be_put_later() {
    let fixture = Fixture::new().await;
    let builder = fixture.builder().delivery_timeout(Duration::from_secs(1));
    let rule = Rule::new(Fault::Unavailable).service(Service::Kinesis).region(THERE);
    let outage = fixture.aws.faults().inject(rule);
    let outcome =
        fixture.build(builder).await.put_record(record(&json!({ "id": 7 }))).await.unwrap();
    let error = outcome.regions()[&name(THERE)].clone().unwrap_err();
    assert!(
        error.attempts > 1 && error.kind == ErrorKind::Retryable && error.message_is_readable()
    );

    fixture.aws.faults().lift(outage);
    let stream = "records".parse().unwrap();
    let timeout = Duration::from_secs(5);
    let later = MessagePusher::new(&name(THERE), &stream, timeout, &fixture.config).unwrap();
    let (key, message) = (outcome.partition_key().to_owned(), outcome.message().to_vec());
    later.queue(key, message).await.await.unwrap();
    assert_eq!(fixture.plaintexts(THERE).await, [json!({ "id": 7 })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_its_key_gets_nothing_it_could_not_read() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().encrypt_for(EncryptFor::Available)).await;
    fixture.aws.faults().inject(Rule::new(Fault::Unavailable).service(Service::Kms).region(HERE));
    let outcome = pusher.put_record(record(&json!({}))).await.unwrap();
    let error = outcome.regions()[&name(HERE)].clone().unwrap_err();
    assert_eq!((error.code.as_str(), error.message_is_readable()), ("NotEncrypted", false));
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (0, 1));
    assert_eq!(fixture.plaintexts(THERE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_all_regions_a_missing_key_fails_the_record_by_the_regions_name() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Unavailable).service(Service::Kms).region(THERE));
    let builder = fixture.builder().delivery_timeout(Duration::from_secs(5));
    let error = fixture.build(builder).await.put_record(record(&json!({}))).await.unwrap_err();
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
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().partition_key_field("account")).await;
    fixture
        .aws
        .faults()
        .inject(Rule::new(Fault::Partial { every: 2 }).operation(Operation::PutRecords).times(10));
    let of = |number: u32| record(&json!({ "account": number % 3, "number": number }));
    let outcomes = pusher.put_records((0..60).map(of).collect()).await;
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
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().partition_key_field("key")).await;
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
            "the field \"key\" is not a partition key: it must be a string of 1 to 256 characters, or a \
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
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().aggregate_bytes(1000)).await;
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
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().aggregate_bytes(100)).await;
    pusher.put_record(record(&json!({ "id": 1 }))).await.unwrap();
    pusher.put_record(of_size(500)).await.unwrap();
    assert!(fixture.plaintexts(HERE).await.iter().all(Value::is_object));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_hold_records_of_one_key_in_order() {
    let fixture = Fixture::new().await;
    let builder = fixture.builder().aggregate_bytes(200).partition_key_field("account");
    let pusher = fixture.build(builder).await;
    let of = |number: u32| record(&json!({ "account": number % 3, "number": number }));
    let outcomes = pusher.put_records((0..60).map(of).collect()).await;
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
async fn a_stopped_pusher_refuses_records() {
    let fixture = Fixture::new().await;
    let pusher = fixture.pusher().await;
    pusher.stop();
    let error = match pusher.put_record(record(&json!({}))).await {
        Ok(outcome) => outcome.regions()[&name(HERE)].clone().unwrap_err().kind,
        Err(error) => error.kind(),
    };
    assert_eq!((error, fixture.count(HERE)), (ErrorKind::Retryable, 0));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let error = pusher.put_record(record(&json!({}))).await.unwrap_err();
    assert_eq!((error.clone(), error.kind()), (PushError::Stopped, ErrorKind::Retryable));
}

/// What stands between a record and its acknowledgement.
#[derive(Debug, Clone, Copy)]
enum Obstacle {
    None,
    KmsHangs,
    KmsThrottles,
    KinesisHangs,
    KinesisThrottles,
    OneRegionHangs,
}

impl Obstacle {
    const ALL: [Self; 6] = [
        Self::None,
        Self::KmsHangs,
        Self::KmsThrottles,
        Self::KinesisHangs,
        Self::KinesisThrottles,
        Self::OneRegionHangs,
    ];

    fn inject(self, aws: &FakeAws) {
        let rule = match self {
            Self::None => return,
            Self::KmsHangs => Rule::new(Fault::Hang).service(Service::Kms),
            Self::KmsThrottles => Rule::new(Fault::Throttle).service(Service::Kms),
            Self::KinesisHangs => Rule::new(Fault::Hang).service(Service::Kinesis),
            Self::KinesisThrottles => Rule::new(Fault::Throttle).service(Service::Kinesis),
            Self::OneRegionHangs => Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE),
        };
        aws.faults().inject(rule);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pusher_has_delivered_or_returned_every_record() {
    for obstacle in Obstacle::ALL {
        for (aggregate_bytes, linger) in [(0, 5), (0, 60_000), (1000, 60_000)] {
            let fixture = Fixture::new().await;
            obstacle.inject(&fixture.aws);
            let builder = fixture.builder().aggregate_bytes(aggregate_bytes);
            let builder = builder.linger(Duration::from_millis(linger));
            let pusher = fixture.build(builder).await;
            drop(pusher.queue_records(records(100)).await);
            let closed = pusher.close(Duration::from_secs(1));
            let undelivered = tokio::time::timeout(Duration::from_secs(10), closed).await;
            let undelivered = undelivered.unwrap_or_else(|_| panic!("{obstacle:?} hangs"));
            for region in [HERE, THERE] {
                let mut ids: Vec<Value> = fixture
                    .plaintexts_lifted(region)
                    .await
                    .into_iter()
                    .flat_map(records_of)
                    .collect();
                for undelivered in &undelivered {
                    match undelivered {
                        Undelivered::Record { record, .. } => {
                            ids.push(serde_json::from_slice(record.as_json()).unwrap());
                        }
                        Undelivered::Message(outcome)
                            if outcome.regions()[&name(region)].is_err() =>
                        {
                            ids.extend(records_of(fixture.plaintext(region, outcome).await));
                        }
                        _ => {}
                    }
                }
                let mut ids: Vec<_> = ids.iter().map(|id| id["id"].as_u64().unwrap()).collect();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids, (0..100).collect::<Vec<_>>(), "{obstacle:?} {linger}");
            }
            let everything = matches!(obstacle, Obstacle::None);
            assert_eq!(undelivered.is_empty(), everything, "{obstacle:?} {linger}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flush_ends_the_linger_and_waits_for_outcomes() {
    for aggregate_bytes in [0, 1000] {
        let fixture = Fixture::new().await;
        let builder = fixture.builder().aggregate_bytes(aggregate_bytes);
        let pusher = fixture.build(builder.linger(Duration::from_secs(60))).await;
        let pushed = pusher.queue_records(records(3)).await;
        pusher.flush().await;
        for outcome in pushed {
            let outcome = futures::future::FutureExt::now_or_never(outcome);
            assert!(outcome.expect("it is known").unwrap().is_delivered());
        }
        pusher.flush().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_of_kms_is_retried_as_that_of_kinesis() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().cache_capacity(0)).await;
    fixture.aws.faults().inject(Rule::new(Fault::Throttle).service(Service::Kms).times(20));
    let outcomes = pusher.put_records(records(10)).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_kms_is_an_operators_error_at_once() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).service(Service::Kms));
    let error = fixture.pusher().await.put_record(record(&json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Operator, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_the_tables_key_is_refused_before_encryption() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().require_key("id:S".parse().unwrap())).await;
    for bad in [record(&json!({ "noid": 1 })), record(&json!({ "id": 1 })), of_size(500_000)] {
        let error = pusher.put_record(bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record, "{error}");
    }
    assert_eq!(fixture.aws.faults().calls(HERE, Operation::GenerateDataKey).calls, 0);
    assert!(pusher.put_record(record(&json!({ "id": "1" }))).await.unwrap().is_delivered());
}

#[cfg(feature = "lambda")]
#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_reports_every_record_before_its_time_is_over() {
    use record_pusher::lambda::{PushEvent, PushResponse, RecordResponse, handle};

    for obstacle in Obstacle::ALL {
        for (key, linger) in [("id", 5), ("account", 5), ("id", 60_000)] {
            let fixture = Fixture::new().await;
            obstacle.inject(&fixture.aws);
            let builder = fixture.builder().partition_key_field(key).aggregate_bytes(500);
            let pusher = fixture.build(builder.linger(Duration::from_millis(linger))).await;
            let records: Vec<_> =
                (0..20).map(|id| json!({ "id": id.to_string(), "account": 1 })).collect();
            let event = json!({ "records": records }).to_string();
            let event: PushEvent = serde_json::from_str(&event).unwrap();
            let time = Duration::from_secs(2);
            let started = tokio::time::Instant::now();
            let response = handle(&pusher, event, time).await;
            assert!(started.elapsed() < time * 3 / 2, "{obstacle:?}: {:?}", started.elapsed());
            let PushResponse::Full { records, undelivered, .. } = &response else {
                panic!("{obstacle:?}: {response:?}")
            };
            assert_eq!(records.len(), 20);
            let is_sent = |record: &&RecordResponse| matches!(record, RecordResponse::Sent { .. });
            let sent = records.iter().filter(is_sent).count();
            let is_out = matches!(obstacle, Obstacle::KmsHangs | Obstacle::KmsThrottles);
            assert_eq!(sent, if is_out { 0 } else { 20 }, "{obstacle:?}");
            let everything = matches!(obstacle, Obstacle::None);
            assert_eq!(*undelivered, if everything { 0 } else { 20 }, "{obstacle:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_at_their_edges() {
    type Set = fn(RecordPusherBuilder) -> RecordPusherBuilder;
    let good: [Set; 14] = [
        |b| b.aggregate_bytes(0),
        |b| b.aggregate_bytes(1_000_000),
        |b| b.linger(Duration::ZERO),
        |b| b.linger(Duration::from_secs(60)),
        |b| b.delivery_timeout(Duration::from_secs(1)),
        |b| b.delivery_timeout(Duration::from_secs(86_400)),
        |b| b.cache_capacity(0),
        |b| b.cache_capacity(1_000_000),
        |b| b.cache_max_age(Duration::from_secs(1)),
        |b| b.cache_max_age(Duration::from_secs(365 * 86_400)),
        |b| b.cache_max_messages(1),
        |b| b.cache_max_messages(1 << 32),
        |b| b.partition_key_field("a"),
        |b| b.aggregate_bytes(1_000_000).linger(Duration::from_secs(60)),
    ];
    for set in good {
        let fixture = Fixture::new().await;
        let pusher = fixture.build(set(fixture.builder())).await;
        let pushed = pusher.queue_record(record(&json!({ "a": "1" }))).await;
        pusher.flush().await;
        assert!(pushed.await.unwrap().is_delivered());
    }
    let bad: [(&str, Set); 14] = [
        ("aggregate_bytes", |b| b.aggregate_bytes(1_000_001)),
        ("aggregate_bytes", |b| b.aggregate_bytes(usize::MAX)),
        ("linger", |b| b.linger(Duration::from_millis(60_001))),
        ("linger", |b| b.linger(Duration::MAX)),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::ZERO)),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::from_millis(999))),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::from_secs(86_401))),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::from_secs(u64::MAX))),
        ("cache_capacity", |b| b.cache_capacity(1_000_001)),
        ("cache_max_age", |b| b.cache_max_age(Duration::ZERO)),
        ("cache_max_age", |b| b.cache_max_age(Duration::MAX)),
        ("cache_max_messages", |b| b.cache_max_messages(0)),
        ("cache_max_messages", |b| b.cache_max_messages(u64::MAX)),
        ("partition_key_field", |b| b.partition_key_field("")),
    ];
    let fixture = Fixture::new().await;
    for (name, set) in bad {
        let error = set(fixture.builder()).build(&fixture.config).await.unwrap_err();
        let text = error.to_string();
        let SetupError::OutOfRange { setting, value, allowed, .. } = error else {
            panic!("{text}")
        };
        assert_eq!(setting, name);
        assert_eq!(text, format!("{name} is {value}; it must be {allowed}"));
    }
    for regions in [vec![], vec![name(HERE), name(HERE)]] {
        let error = fixture.builder_for(regions).build(&fixture.config).await.unwrap_err();
        assert!(error.to_string().contains("egion"), "{error}");
    }
    let stream = "records".parse().unwrap();
    for timeout in [Duration::ZERO, Duration::MAX] {
        MessagePusher::new(&name(HERE), &stream, timeout, &fixture.config).unwrap_err();
    }
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
