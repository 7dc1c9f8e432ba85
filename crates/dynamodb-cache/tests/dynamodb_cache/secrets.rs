//! No value is shown, whatever happens to it.

use dynamodb_cache::{Cache, Entry, Json, LocalStore, Lookup, TieredStore, Value};
use fake_aws::{Fault, Rule};
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::LevelFilter;

use crate::fixture::{Fixture, item, number, text};
use crate::log::Log;

const SECRET: &str = "v3ry-s3cret";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Token {
    secret: String,
}

#[test]
fn debug_output_shows_sizes_only() {
    let token = Token { secret: SECRET.to_owned() };
    let [text, bytes] = [Value::Text(SECRET.into()), Value::Bytes(SECRET.into())];
    assert_eq!(format!("{text:?}"), "a text of 11 bytes");
    assert_eq!(format!("{bytes:?}"), "bytes of 11 bytes");
    assert_eq!(format!("{:?}", Value::Nothing), "nothing of 0 bytes");
    assert_eq!(format!("{:?}", Json(token)), "Json(..)");
    let lookup: Lookup = Ok(Entry::new(text, std::time::UNIX_EPOCH));
    assert!(!format!("{lookup:?}").contains(SECRET));
}

#[tokio::test]
async fn errors_and_logs_quote_no_value() {
    let (log, _guard) = Log::start(LevelFilter::TRACE);
    let fixture = Fixture::new().await;
    let json = format!(r#"{{"secret":"{SECRET}""#);
    let wrong_type = format!(r#"{{"secret":["{SECRET}"]}}"#);
    let tokens = fixture.over(TieredStore::new(LocalStore::new(1 << 20), fixture.store()));
    let tokens: Cache<Json<Token>> = tokens.build().unwrap();
    for (key, content) in [("cut", json), ("type", wrong_type), ("none", SECRET.to_owned())] {
        let end = number("9999999999");
        let attributes = [("id", text(key)), ("cached_value", text(&content)), ("expires_at", end)];
        fixture.put(item(attributes)).await;
        assert!(tokens.get(key).await.unwrap().is_none());
        assert!(log.text().contains(key), "the log says which, and why");
    }
    fixture.aws.faults().inject(Rule::new(Fault::Throttle));
    let token = Json(Token { secret: SECRET.to_owned() });
    assert!(!tokens.set("key", &token).await.unwrap());
    let large = fixture.cache().set("key", &SECRET.repeat(100_000)).await.unwrap_err();
    let loading = tokens.get_or_load("large", async || {
        Ok::<_, std::io::Error>(Json(Token { secret: SECRET.repeat(100_000) }))
    });
    loading.await.unwrap();
    let shown = format!("{} {large} {large:?} {tokens:?}", log.text());
    assert!(shown.contains("ThrottlingException") && shown.contains("not stored"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
}
