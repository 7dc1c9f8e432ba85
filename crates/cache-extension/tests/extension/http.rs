//! Requests and answers.

use cache_extension::{LoadError, Source};

use crate::fixture::{Fixture, Reply, TOKEN, TTL, get, item, parameter, unavailable};

fn sources() -> Vec<Source> {
    vec![
        parameter("us-east-1", "/app/name"),
        parameter("us-east-1", "both"),
        parameter("eu-west-1", "both"),
        item("table", "hash", Some("sort")),
        item("table", "hash", None),
        item("a-b", "c", None),
        item("a", "b-c", None),
    ]
}

async fn served() -> (Fixture, u16) {
    let fixture = Fixture::new(sources());
    let port = fixture.serve(Some(TOKEN)).await;
    (fixture, port)
}

fn error(reply: &Reply) -> &str {
    assert_eq!(reply.headers["content-type"], "application/json");
    reply.body.strip_prefix(r#"{"error":""#).and_then(|rest| rest.strip_suffix(r#""}"#)).unwrap()
}

#[tokio::test]
async fn a_parameter_is_answered_as_text() {
    let (fixture, port) = served().await;
    for target in [
        "/parameters?name=/app/name",
        "/parameters?name=%2Fapp%2Fname",
        "/parameters?region=us-east-1&name=/app/name",
    ] {
        let reply = get(port, target).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "value of /app/name, version 0"));
        assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    }
    assert_eq!(fixture.service.requests().len(), 1);
}

#[tokio::test]
async fn an_item_is_answered_as_json_by_the_demonstrations_name_or_by_its_fields() {
    let (_fixture, port) = served().await;
    for (target, name) in [
        ("/dynamodb?name=table-hash-sort", "table-hash-sort"),
        ("/dynamodb?table=table&hash=hash&sort=sort", "table-hash-sort"),
        ("/dynamodb?name=table-hash", "table-hash"),
        ("/dynamodb?table=table&hash=hash&region=us-east-1", "table-hash"),
        ("/dynamodb?table=a-b&hash=c", "a-b-c"),
        ("/dynamodb?table=a&hash=b-c", "a-b-c"),
    ] {
        let reply = get(port, target).await;
        let expected = format!("value of {name}, version 0");
        assert_eq!((reply.status, reply.body), (200, expected), "{target}");
        assert_eq!(reply.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn a_name_that_several_entries_have_is_not_guessed() {
    let (fixture, port) = served().await;
    for (target, hint) in
        [("/parameters?name=both", "give region"), ("/dynamodb?name=a-b-c", "give table, hash")]
    {
        let reply = get(port, target).await;
        assert_eq!(reply.status, 400);
        assert!(error(&reply).contains(hint), "{reply:?}");
    }
    assert_eq!(get(port, "/parameters?name=both&region=eu-west-1").await.status, 200);
    assert_eq!(fixture.service.requests(), [["both"]]);
}

#[tokio::test]
async fn what_is_not_configured_or_does_not_exist_is_not_found() {
    let (fixture, port) = served().await;
    for target in [
        "/",
        "/secrets?name=a",
        "/parameters?name=app/name",
        "/parameters?name=/app/name&region=eu-west-1",
        "/dynamodb?name=table",
        "/dynamodb?table=table&hash=hash&sort=",
    ] {
        let reply = get(port, target).await;
        assert_eq!(reply.status, 404, "{target}");
        error(&reply);
    }
    assert_eq!(fixture.service.requests().len(), 0);
    fixture.service.fail("/app/name", LoadError::NotFound("gone".to_owned()));
    let reply = get(port, "/parameters?name=/app/name").await;
    assert_eq!((reply.status, error(&reply)), (404, "gone"));
}

#[tokio::test]
async fn a_request_that_means_nothing_says_what_is_wrong() {
    let (fixture, port) = served().await;
    for (target, hint) in [
        ("/parameters", "give name"),
        ("/parameters?name=a&name=b", "name is given twice"),
        ("/parameters?name=/app/name&nam=b", "unknown field nam"),
        ("/parameters?name=/app/name&refresh=1", "refresh must be true or false"),
        ("/dynamodb?table=t", "give name, or table and hash"),
        ("/dynamodb?name=table-hash&table=t", "give name, or table and hash"),
    ] {
        let reply = get(port, target).await;
        assert_eq!(reply.status, 400, "{target}");
        assert!(error(&reply).starts_with(hint), "{reply:?}");
    }
    assert_eq!(fixture.service.requests().len(), 0);
}

#[tokio::test]
async fn answers_tell_their_age_and_where_they_are_from() {
    let (fixture, port) = served().await;
    let target = "/parameters?name=/app/name";
    let status = async |target: &str| {
        let reply = get(port, target).await;
        (reply.status, reply.headers["age"].clone(), reply.headers["cache-status"].clone())
    };
    let expected =
        |age: u64, status: &str| (200, age.to_string(), format!("cache-extension; {status}"));
    assert_eq!(status(target).await, expected(0, "fwd=miss"));
    assert_eq!(status(target).await, expected(0, "hit; ttl=100"));
    assert_eq!(status(&format!("{target}&refresh=true")).await, expected(0, "fwd=miss"));
    assert_eq!(status(&format!("{target}&refresh=false")).await, expected(0, "hit; ttl=100"));
    fixture.service.fail("/app/name", unavailable());
    fixture.clock.advance(TTL + TTL);
    assert_eq!(status(target).await, expected(200, "hit; ttl=-100"));
}

#[tokio::test]
async fn without_a_value_a_service_that_is_down_is_a_503() {
    let (fixture, port) = served().await;
    fixture.service.fail("/app/name", unavailable());
    let reply = get(port, "/parameters?name=/app/name").await;
    assert_eq!((reply.status, error(&reply)), (503, "it is down"));
    assert_eq!(reply.headers["retry-after"], "10");
}

#[tokio::test]
async fn a_plus_sign_is_one_and_a_blank_if_no_entry_has_it() {
    let items = ["++++//4=", "a b", "c+d", "c d"].map(|hash| item("kinds", hash, None));
    let fixture = Fixture::new(items.to_vec());
    let port = fixture.serve(Some(TOKEN)).await;
    for (hash, expected) in [
        ("++++//4=", "++++//4="),
        ("%2B%2B%2B%2B//4=", "++++//4="),
        ("a+b", "a b"),
        ("a%20b", "a b"),
        ("c+d", "c+d"),
        ("c%20d", "c d"),
    ] {
        for target in
            [format!("/dynamodb?table=kinds&hash={hash}"), format!("/dynamodb?name=kinds-{hash}")]
        {
            let reply = get(port, &target).await;
            assert_eq!(reply.status, 200, "{target}");
            assert!(reply.body.contains(&format!("kinds-{expected},")), "{target}: {}", reply.body);
        }
    }
    assert_eq!(get(port, "/dynamodb?table=kinds&hash=e+f").await.status, 404);
}
