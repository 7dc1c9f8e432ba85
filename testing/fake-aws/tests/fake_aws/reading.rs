use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{ShardFilter, ShardFilterType, ShardIteratorType};
use fake_aws::{FakeAws, Fault, Rule, StreamSettings};

use crate::kinesis::entry;
use crate::{REGION, config};

const STREAM: &str = "records";
const FIRST: &str = "shardId-000000000000";

struct Fixture {
    aws: FakeAws,
    client: Client,
}

impl Fixture {
    async fn start(shards: u64) -> Self {
        let aws = FakeAws::start().await.unwrap();
        let settings = StreamSettings { shards, ..StreamSettings::default() };
        aws.kinesis().create_stream(REGION, STREAM, settings);
        let client = Client::new(&config(&aws, REGION));
        Self { aws, client }
    }

    async fn put(&self, data: &str) {
        let request = self.client.put_records().stream_name(STREAM);
        request.records(entry("key", data)).send().await.unwrap();
    }

    async fn iterator(&self, shard: &str, kind: ShardIteratorType) -> String {
        let request = self.client.get_shard_iterator().stream_name(STREAM).shard_id(shard);
        let output = request.shard_iterator_type(kind).send().await.unwrap();
        output.shard_iterator.unwrap()
    }

    async fn read(&self, iterator: &str) -> GetRecordsOutput {
        self.client.get_records().shard_iterator(iterator).send().await.unwrap()
    }

    async fn read_all(&self, shard: &str) -> GetRecordsOutput {
        self.read(&self.iterator(shard, ShardIteratorType::TrimHorizon).await).await
    }

    async fn shards(&self, filter: ShardFilterType) -> Vec<String> {
        let filter = ShardFilter::builder().r#type(filter).timestamp(DateTime::from_secs(0));
        let request = self.client.list_shards().stream_name(STREAM);
        let output = request.shard_filter(filter.build().unwrap()).send().await.unwrap();
        output.shards.unwrap().into_iter().map(|shard| shard.shard_id).collect()
    }
}

fn data(output: &GetRecordsOutput) -> Vec<&[u8]> {
    output.records.iter().map(|record| record.data.as_ref()).collect()
}

#[tokio::test]
async fn records_are_read_from_each_kind_of_place() {
    let fixture = Fixture::start(1).await;
    let latest = fixture.iterator(FIRST, ShardIteratorType::Latest).await;
    for data in ["1", "2"] {
        fixture.put(data).await;
    }
    assert_eq!(data(&fixture.read(&latest).await), [b"1", b"2"]);
    let all = fixture.read_all(FIRST).await;
    assert_eq!(data(&all), [b"1", b"2"]);
    assert_eq!(all.millis_behind_latest, Some(0));
    assert!(data(&fixture.read(all.next_shard_iterator.as_ref().unwrap()).await).is_empty());

    let position = || fixture.client.get_shard_iterator().stream_name(STREAM).shard_id(FIRST);
    let after = position()
        .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
        .starting_sequence_number(&all.records[0].sequence_number);
    let after = after.send().await.unwrap().shard_iterator.unwrap();
    assert_eq!(data(&fixture.read(&after).await), [b"2"]);
    let at = position()
        .shard_iterator_type(ShardIteratorType::AtTimestamp)
        .timestamp(all.records[0].approximate_arrival_timestamp.unwrap());
    let at = at.send().await.unwrap().shard_iterator.unwrap();
    assert_eq!(data(&fixture.read(&at).await), [b"1", b"2"]);
}

#[tokio::test]
async fn a_page_says_how_far_behind_it_is() {
    let fixture = Fixture::start(1).await;
    for data in ["1", "2"] {
        fixture.put(data).await;
    }
    let iterator = fixture.iterator(FIRST, ShardIteratorType::TrimHorizon).await;
    let request = fixture.client.get_records().shard_iterator(iterator).limit(1);
    let page = request.send().await.unwrap();
    assert_eq!(data(&page), [b"1"]);
    assert!(page.millis_behind_latest > Some(0));
    assert_eq!(data(&fixture.read(&page.next_shard_iterator.unwrap()).await), [b"2"]);
}

#[tokio::test]
async fn a_shard_that_was_split_ends_with_its_children() {
    let fixture = Fixture::start(1).await;
    fixture.put("before").await;
    let children = fixture.aws.kinesis().reshard(REGION, STREAM, &[FIRST], 2);
    fixture.put("after").await;

    let parent = fixture.read_all(FIRST).await;
    assert_eq!(data(&parent), [b"before"]);
    assert_eq!(parent.next_shard_iterator, None);
    for (child, expected) in parent.child_shards.unwrap().iter().zip(&children) {
        assert_eq!(
            (&child.shard_id, child.parent_shards.as_slice()),
            (expected, &[FIRST.to_owned()][..])
        );
    }
    let (left, right) =
        (fixture.read_all(&children[0]).await, fixture.read_all(&children[1]).await);
    assert_eq!([data(&left), data(&right)].concat(), [b"after"]);

    assert_eq!(fixture.shards(ShardFilterType::AtLatest).await, children);
    for filter in [ShardFilterType::FromTrimHorizon, ShardFilterType::FromTimestamp] {
        assert_eq!(
            fixture.shards(filter).await,
            [[FIRST.to_owned()].as_slice(), &children].concat()
        );
    }
    let merged = fixture.aws.kinesis().reshard(REGION, STREAM, &[&children[0], &children[1]], 1);
    let list = fixture.client.list_shards().stream_name(STREAM).send().await.unwrap();
    let last = list.shards.unwrap().pop().unwrap();
    assert_eq!(last.shard_id, merged[0]);
    assert_eq!(last.parent_shard_id.as_ref(), Some(&children[0]));
    assert_eq!(last.adjacent_parent_shard_id.as_ref(), Some(&children[1]));
}

#[tokio::test]
async fn a_list_of_shards_has_pages() {
    let fixture = Fixture::start(150).await;
    let first = fixture.client.list_shards().stream_name(STREAM).send().await.unwrap();
    let request = fixture.client.list_shards().set_next_token(first.next_token);
    let second = request.send().await.unwrap();
    assert_eq!((first.shards.unwrap().len(), second.shards.unwrap().len()), (100, 50));
    assert_eq!(second.next_token, None);
}

#[tokio::test]
async fn an_iterator_expires_on_command() {
    let fixture = Fixture::start(1).await;
    let iterator = fixture.iterator(FIRST, ShardIteratorType::Latest).await;
    fixture.aws.faults().inject(Rule::new(Fault::ExpiredIterator).times(1));
    let request = || fixture.client.get_records().shard_iterator(&iterator).send();
    let error = request().await.unwrap_err().into_service_error();
    assert!(error.is_expired_iterator_exception());
    assert!(request().await.is_ok());
}
