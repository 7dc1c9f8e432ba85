use fake_aws::{FakeAws, Fault, Rule, Service};

use crate::REGION;
use crate::http::{Answer, SIGNED, send};

async fn call(aws: &FakeAws, method: &str, path: &str, body: &[u8]) -> Answer {
    send(aws.url(), method, path, &[SIGNED], body).await
}

#[tokio::test]
async fn an_object_is_put_read_and_deleted() {
    let aws = FakeAws::start().await.unwrap();
    assert_eq!(call(&aws, "PUT", "/bucket/a/b%20c?x-id=PutObject", b"text").await.status, 200);
    assert_eq!(call(&aws, "GET", "/bucket/a/b%20c", b"").await.body, "text");
    assert_eq!(aws.s3().objects(REGION, "bucket")["a/b c"], b"text");

    assert_eq!(call(&aws, "DELETE", "/bucket/a/b%20c", b"").await.status, 204);
    let missing = call(&aws, "GET", "/bucket/a/b%20c", b"").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("<Code>NoSuchKey</Code>"), "{}", missing.body);
}

#[tokio::test]
async fn a_body_in_chunks_is_put_together() {
    let aws = FakeAws::start().await.unwrap();
    let streaming = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let body =
        b"3\r\nabc\r\n2;chunk-signature=0\r\n\r\n\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    let put = |body: &'static [u8]| {
        let aws = &aws;
        async move { send(aws.url(), "PUT", "/bucket/key", &[SIGNED, streaming], body).await }
    };
    assert_eq!(put(body).await.status, 200);
    assert_eq!(aws.s3().objects(REGION, "bucket")["key"], b"abc\r\n");
    assert_eq!(put(b"4\r\nabc\r\n0\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn a_list_has_the_keys_with_the_prefix() {
    let aws = FakeAws::start().await.unwrap();
    for key in ["a/1", "a/%3C2%3E", "b/3"] {
        call(&aws, "PUT", &format!("/bucket/{key}"), b"text").await;
    }
    let list = call(&aws, "GET", "/bucket/?list-type=2&prefix=a%2F", b"").await.body;
    assert!(list.contains("<KeyCount>2</KeyCount>"), "{list}");
    assert!(list.contains("<Key>a/&lt;2&gt;</Key><Size>4</Size>"), "{list}");
    assert!(!list.contains("b/3"), "{list}");
}

#[tokio::test]
async fn what_is_not_played_is_refused() {
    let aws = FakeAws::start().await.unwrap();
    assert_eq!(call(&aws, "PUT", "/bucket/key?uploadId=1&partNumber=1", b"").await.status, 501);
    let range = ("range", "bytes=0-1");
    let answer = send(aws.url(), "GET", "/bucket/key", &[SIGNED, range], b"").await;
    assert_eq!(answer.status, 501);
    assert_eq!(call(&aws, "POST", "/bucket/key", b"").await.status, 400);
    assert_eq!(call(&aws, "GET", "/bucket", b"").await.status, 400, "the list's older version");
}

#[tokio::test]
async fn throttling_is_told_in_xml() {
    let aws = FakeAws::start().await.unwrap();
    aws.faults().inject(Rule::new(Fault::Throttle).service(Service::S3));
    let answer = call(&aws, "GET", "/bucket/key", b"").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("<Code>SlowDown</Code>"), "{}", answer.body);
}
