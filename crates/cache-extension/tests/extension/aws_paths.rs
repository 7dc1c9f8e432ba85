//! The paths of AWS's extension.

use std::sync::Arc;
use std::time::Duration;

use cache_extension::{Api, AwsPathSettings, CallCache, LoadError, Server, Token};

use crate::fixture::{Fixture, STALE, TOKEN, get, request, send, unavailable};

const PARAMETER: &str = "/systemsmanager/parameters/get";
const SECRET: &str = "/secretsmanager/get";
const HEADER: &str = "X-Aws-Parameters-Secrets-Token";

async fn serve(fixture: &Fixture, settings: AwsPathSettings, token: Option<&str>) -> u16 {
    let (service, clock) = (Arc::clone(&fixture.service), Arc::clone(&fixture.clock));
    let calls = CallCache::new("eu-west-1", settings, service, clock, STALE);
    let server = Server::bind(0).await.unwrap();
    let port = server.port().unwrap();
    let token = token.map(|token| Token::new(token).unwrap());
    tokio::spawn(server.serve(Api::new(fixture.cache.clone(), token).with_calls(calls)));
    port
}

fn settings(change: impl FnOnce(&mut AwsPathSettings)) -> AwsPathSettings {
    let mut settings = AwsPathSettings::default();
    change(&mut settings);
    settings
}

#[tokio::test]
async fn what_is_asked_for_is_what_the_service_is_asked_for() {
    let fixture = Fixture::one();
    let port = serve(&fixture, AwsPathSettings::default(), Some(TOKEN)).await;
    for (target, expected) in [
        ("?name=a", r#"GetParameter { name: "a", with_decryption: false }"#),
        ("/?name=%2Fa%2Fb&withDecryption=true", r#"name: "/a/b", with_decryption: true"#),
        ("?name=a&version=3&withDecryption=false", r#"name: "a:3", with_decryption: false"#),
        ("?name=a&label=prod&version=", r#"name: "a:prod", with_decryption: false"#),
        ("?name=a&unknown=1&label=other", r#"name: "a:other", with_decryption: false"#),
        ("?name=arn:aws:ssm:eu-west-1:1:parameter/a", r#"name: "arn:aws:ssm:eu-west-1:1:"#),
    ] {
        let reply = get(port, &format!("{PARAMETER}{target}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.contains(expected), "{reply:?}");
        assert_eq!(reply.headers["content-type"], "application/json");
    }
    for (target, id, version, stage) in [
        ("?secretId=s+t", r#"id: "s+t""#, "version_id: None", "version_stage: None"),
        ("?secretId=s&versionId=v-1", r#"id: "s""#, r#"Some("v-1")"#, "version_stage: None"),
        ("/?secretId=s&versionStage=AWSPREVIOUS", r#""s""#, "None", r#"Some("AWSPREVIOUS")"#),
    ] {
        let reply = get(port, &format!("{SECRET}{target}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        for part in [id, version, stage] {
            assert!(reply.body.contains(part), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_request_that_means_nothing_is_refused_and_not_made() {
    let fixture = Fixture::one();
    let port = serve(&fixture, AwsPathSettings::default(), Some(TOKEN)).await;
    for (target, hint) in [
        (format!("{PARAMETER}?withDecryption=true"), "give name"),
        (format!("{PARAMETER}?name="), "give name"),
        (format!("{PARAMETER}?name=a&version=1&label=b"), "not both"),
        (format!("{PARAMETER}?name=a&version=one"), "must be a number"),
        (format!("{PARAMETER}?name=a&withDecryption=yes"), "true or false"),
        (format!("{SECRET}?name=a"), "give secretId"),
    ] {
        let reply = get(port, &target).await;
        assert_eq!(reply.status, 400, "{target}");
        assert!(reply.body.contains(hint), "{reply:?}");
    }
    assert_eq!(get(port, "/systemsmanager/parameters/put?name=a").await.status, 404);
    assert!(fixture.service.requests().is_empty());
}

#[tokio::test]
async fn the_token_is_required_even_where_it_was_turned_off() {
    let fixture = Fixture::one();
    let target = format!("{SECRET}?secretId=s");
    for token in [Some(TOKEN), None] {
        let port = serve(&fixture, AwsPathSettings::default(), token).await;
        assert_eq!(send(port, &request(&target, &[])).await.status, 401);
        let status = if token.is_some() { 403 } else { 401 };
        assert_eq!(send(port, &request(&target, &[(HEADER, "wrong")])).await.status, status);
    }
    assert!(fixture.service.requests().is_empty());
    let port = fixture.serve(Some(TOKEN)).await;
    assert_eq!(get(port, &target).await.status, 404, "not without a cache of calls");
}

#[tokio::test]
async fn answers_are_cached_for_their_time_and_stale_ones_are_better_than_none() {
    let fixture = Fixture::one();
    let settings = settings(|settings| settings.secret_ttl = Duration::from_secs(60));
    let port = serve(&fixture, settings, Some(TOKEN)).await;
    let (parameter, secret) = (format!("{PARAMETER}?name=a"), format!("{SECRET}?secretId=a"));
    for _ in 0..3 {
        get(port, &parameter).await;
        get(port, &secret).await;
    }
    assert_eq!(fixture.service.requests().len(), 2);
    fixture.clock.advance(Duration::from_secs(60));
    get(port, &parameter).await;
    get(port, &secret).await;
    assert_eq!(fixture.service.requests().len(), 3, "the secret's time is over");
    get(port, &format!("{secret}&refreshNow=true")).await;
    assert_eq!(fixture.service.requests().len(), 4);
    let name = r#"GetParameter { name: "a", with_decryption: false }"#;
    fixture.service.fail(name, unavailable());
    fixture.clock.advance(Duration::from_secs(300));
    assert_eq!(get(port, &parameter).await.status, 200);
    fixture.service.fail(name, LoadError::NotFound("gone".to_owned()));
    fixture.clock.advance(Duration::from_secs(10));
    assert_eq!(get(port, &parameter).await.status, 404);
}

#[tokio::test]
async fn without_a_size_or_a_time_nothing_is_cached() {
    for settings in [
        settings(|settings| settings.cache_size = 0),
        settings(|settings| settings.parameter_ttl = Duration::ZERO),
    ] {
        let fixture = Fixture::one();
        let port = serve(&fixture, settings, Some(TOKEN)).await;
        for _ in 0..3 {
            assert_eq!(get(port, &format!("{PARAMETER}?name=a")).await.status, 200);
        }
        assert_eq!(fixture.service.requests().len(), 3);
    }
}

#[tokio::test]
async fn what_was_used_least_lately_makes_room() {
    let fixture = Fixture::one();
    let port = serve(&fixture, settings(|settings| settings.cache_size = 2), Some(TOKEN)).await;
    for name in ["a", "b", "a", "c", "a", "b"] {
        get(port, &format!("{PARAMETER}?name={name}")).await;
    }
    assert_eq!(fixture.service.requests().len(), 4, "a stayed, and b went");
}
