use std::collections::BTreeSet;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use fake_aws::{FakeAws, StreamSettings};

use crate::{OTHER_REGION, REGION, config};

const STREAM: &str = "records";

async fn start(settings: StreamSettings) -> (FakeAws, Client) {
    let aws = FakeAws::start().await.unwrap();
    aws.kinesis().create_stream(REGION, STREAM, settings);
    let client = Client::new(&config(&aws, REGION));
    (aws, client)
}

pub(crate) fn entry(partition_key: &str, data: impl Into<Vec<u8>>) -> PutRecordsRequestEntry {
    let entry = PutRecordsRequestEntry::builder().partition_key(partition_key);
    entry.data(Blob::new(data)).build().unwrap()
}

async fn refusal(client: &Client, entries: Vec<PutRecordsRequestEntry>) -> Option<String> {
    let request = client.put_records().stream_name(STREAM).set_records(Some(entries));
    request.send().await.err().and_then(|error| error.code().map(String::from))
}

#[tokio::test]
async fn records_are_kept_in_order_with_what_was_acknowledged() {
    let (aws, client) = start(StreamSettings::default()).await;
    let request = client.put_records().stream_name(STREAM);
    let output = request.records(entry("a", "1")).records(entry("b", "2")).send().await.unwrap();

    let records = aws.kinesis().records(REGION, STREAM);
    assert_eq!(output.failed_record_count, Some(0));
    for (record, acknowledged) in records.iter().zip(&output.records) {
        assert_eq!(acknowledged.shard_id.as_ref(), Some(&record.shard_id));
        assert_eq!(acknowledged.sequence_number.as_ref(), Some(&record.sequence_number));
    }
    let kept = records.iter().map(|record| (record.partition_key.as_str(), record.data.as_slice()));
    assert_eq!(kept.collect::<Vec<_>>(), [("a", &b"1"[..]), ("b", b"2")]);
    assert!(records[0].sequence_number < records[1].sequence_number);
}

#[tokio::test]
async fn a_partition_key_stays_in_its_shard() {
    let settings = StreamSettings { shards: 3, ..StreamSettings::default() };
    let (aws, client) = start(settings).await;
    let entries: Vec<_> = (0..40).map(|number| entry(&(number % 20).to_string(), "x")).collect();
    assert_eq!(refusal(&client, entries).await, None);

    let records = aws.kinesis().records(REGION, STREAM);
    let key_and_shard = records.iter().map(|record| (&record.partition_key, &record.shard_id));
    assert_eq!(key_and_shard.collect::<BTreeSet<_>>().len(), 20);
    let shards: BTreeSet<_> = records.iter().map(|record| record.shard_id.as_str()).collect();
    assert_eq!(shards.len(), 3);
}

#[tokio::test]
async fn a_sink_counts_records_and_drops_them() {
    let settings = StreamSettings { keep: false, ..StreamSettings::default() };
    let (aws, client) = start(settings).await;
    assert_eq!(refusal(&client, vec![entry("a", "12"), entry("b", "345")]).await, None);
    let totals = aws.kinesis().totals(REGION, STREAM);
    assert_eq!((totals.records, totals.bytes), (2, 5));
    assert!(aws.kinesis().records(REGION, STREAM).is_empty());
}

#[tokio::test]
async fn a_summary_tells_shards_and_record_size() {
    let settings = StreamSettings { shards: 4, max_record_kib: 2048, keep: true };
    let (_aws, client) = start(settings).await;
    let arn = format!("arn:aws:kinesis:{REGION}:000000000000:stream/{STREAM}");
    let output = client.describe_stream_summary().stream_arn(&arn).send().await.unwrap();
    let summary = output.stream_description_summary.unwrap();
    assert_eq!(summary.stream_arn, arn);
    assert_eq!(summary.open_shard_count, 4);
    assert_eq!(summary.max_record_size_in_kib, Some(2048));
}

#[tokio::test]
async fn requests_beyond_the_limits_are_refused() {
    let (aws, client) = start(StreamSettings::default()).await;
    let mib = vec![0; (1 << 20) - 1];
    assert_eq!(refusal(&client, vec![entry("a", mib.clone()); 5]).await, None);
    let code = Some("InvalidArgumentException".to_owned());
    assert_eq!(refusal(&client, vec![entry("ab", mib.clone())]).await, code);
    let too_much = [vec![entry("a", mib); 5], vec![entry("a", "x")]].concat();
    assert_eq!(refusal(&client, too_much).await, code);

    let code = Some("ValidationException".to_owned());
    assert_eq!(refusal(&client, vec![entry("a", "x"); 501]).await, code);
    assert_eq!(refusal(&client, vec![]).await, code);
    assert_eq!(refusal(&client, vec![entry(&"k".repeat(257), "x")]).await, code);
    assert_eq!(aws.kinesis().totals(REGION, STREAM).records, 5);
}

#[tokio::test]
async fn a_stream_is_in_its_region_only() {
    let (aws, _) = start(StreamSettings::default()).await;
    let client = Client::new(&config(&aws, OTHER_REGION));
    let request = client.put_records().stream_name(STREAM).records(entry("a", "x"));
    let error = request.send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception());
}

#[tokio::test]
async fn a_field_that_is_not_played_is_refused() {
    let (_aws, client) = start(StreamSettings::default()).await;
    let mut entry = entry("a", "x");
    entry.explicit_hash_key = Some("0".to_owned());
    assert_eq!(refusal(&client, vec![entry]).await.as_deref(), Some("SerializationException"));
}

#[tokio::test]
async fn debug_output_has_no_data() {
    let (aws, client) = start(StreamSettings::default()).await;
    assert_eq!(refusal(&client, vec![entry("secret", "secret")]).await, None);
    let record = &aws.kinesis().records(REGION, STREAM)[0];
    assert!(!format!("{aws:?}").contains("secret"));
    let number = &record.sequence_number;
    let expected = format!(
        r#"Record {{ shard_id: "shardId-000000000000", sequence_number: "{number}", bytes: 6, .. }}"#
    );
    assert_eq!(format!("{record:?}"), expected);
}
