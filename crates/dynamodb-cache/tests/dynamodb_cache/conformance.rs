//! What every store has to do. `tools/tests/test_dynamodb_cache.py` runs this on another DynamoDB.

use std::collections::HashMap;
use std::time::Duration;

use dynamodb_cache::{
    AddOutcome, Cache, Cacheable, InvalidKeyReason, Json, LocalStore, Store, TieredStore,
};
use serde::{Deserialize, Serialize};

use crate::fixture::{Fixture, REGION, TABLE, fresh_namespace, in_time, store_under_test};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_table_conforms() {
    let fixture = Fixture::new().await;
    conforms(&fixture, store_under_test(&fixture).await).await;
}

#[tokio::test]
async fn a_local_store_conforms() {
    conforms(&Fixture::new().await, local()).await;
}

#[tokio::test]
async fn a_local_store_in_front_of_a_table_conforms() {
    let fixture = Fixture::new().await;
    let store = TieredStore::new(local(), store_under_test(&fixture).await);
    let store = store.max_age(Duration::from_hours(1));
    conforms(&fixture, store).await;
}

fn local() -> LocalStore {
    LocalStore::new(64 << 20)
}

async fn conforms(fixture: &Fixture, store: impl Store + Clone + 'static) {
    values_come_back(fixture, store.clone()).await;
    the_last_write_counts(fixture, store.clone()).await;
    many_at_once(fixture, store.clone()).await;
    nothing_outlives_its_time(fixture, store.clone()).await;
    namespaces_are_apart(fixture, store.clone()).await;
    another_type_is_missing(fixture, store.clone()).await;
    keys_up_to_the_limit(fixture, store.clone()).await;
    one_load(fixture, store.clone()).await;
    one_addition(fixture, store.clone()).await;
    a_check_leaves_nothing(fixture, store).await;
}

fn cache<V: Cacheable>(fixture: &Fixture, store: impl Store + 'static) -> Cache<V> {
    let builder = fixture.over(store).namespace(fresh_namespace());
    builder.lease(Duration::from_mins(1)).build().unwrap()
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Token {
    secret: String,
    scopes: Vec<String>,
    uses: Option<f64>,
}

async fn values_come_back(fixture: &Fixture, store: impl Store + Clone + 'static) {
    let texts = ["", "a", "ünïcödé 佐藤 🙂", "aGVsbG8=", r#"{"a":1}"#, "null", "#a#b", "\0\n"];
    come_back(&cache(fixture, store.clone()), texts.map(String::from)).await;
    let bytes = [vec![], vec![0], (0..=255).collect(), b"text".to_vec()];
    come_back(&cache(fixture, store.clone()), bytes).await;
    let token = Token { secret: "s".into(), scopes: vec!["a".into()], uses: Some(0.1) };
    come_back(&cache(fixture, store.clone()), [Json(token)]).await;
    come_back(&cache(fixture, store.clone()), [None, Some(String::new()), Some("a".into())]).await;
    come_back(&cache(fixture, store), [None, Some(vec![]), Some(vec![1])]).await;
}

async fn come_back<V: Cacheable + PartialEq>(
    cache: &Cache<V>,
    values: impl IntoIterator<Item = V>,
) {
    for (index, value) in values.into_iter().enumerate() {
        let key = format!("key {index}");
        assert!(cache.get(&key).await.unwrap().is_none(), "{key}");
        assert!(cache.set(&key, &value).await.unwrap());
        assert!(cache.get(&key).await.unwrap() == Some(value), "{key}");
    }
}

async fn the_last_write_counts(fixture: &Fixture, store: impl Store + 'static) {
    let cache = cache(fixture, store);
    let [a, b] = ["a", "b"].map(String::from);
    for value in [&a, &b] {
        assert!(cache.set("key", value).await.unwrap());
    }
    assert_eq!(cache.get("key").await.unwrap(), Some(b.clone()));
    assert!(cache.set_many([("key", &b), ("other", &b), ("key", &a)]).await.unwrap().is_empty());
    assert_eq!(cache.get("key").await.unwrap(), Some(a));
    for _ in 0..2 {
        assert!(cache.delete("key").await.unwrap());
        assert_eq!(cache.get("key").await.unwrap(), None);
    }
    assert_eq!(cache.get("other").await.unwrap(), Some(b));
}

async fn many_at_once(fixture: &Fixture, store: impl Store + 'static) {
    let cache = cache(fixture, store);
    let values: HashMap<_, _> = (0..230).map(|n| (format!("key {n}"), format!("{n}"))).collect();
    assert!(cache.set_many(&values).await.unwrap().is_empty());
    let asked = values.keys().map(String::as_str).chain(["missing", "key 0", "key 0"]);
    assert_eq!(cache.get_many(asked).await.unwrap(), values);
    let (gone, left): (Vec<_>, Vec<_>) = values.keys().partition(|key| key.len() < 6);
    assert!(
        cache.delete_many(gone.iter().chain([&&"missing".to_owned()])).await.unwrap().is_empty()
    );
    let found = cache.get_many(values.keys()).await.unwrap();
    assert_eq!(found.len(), left.len());
    assert!(left.into_iter().all(|key| found[key] == values[key]));
    let none: [&str; 0] = [];
    assert!(cache.get_many(none).await.unwrap().is_empty());
    assert!(cache.set_many(none.map(|key| (key, &values["key 0"]))).await.unwrap().is_empty());
    assert!(cache.delete_many(none).await.unwrap().is_empty());
}

async fn nothing_outlives_its_time(fixture: &Fixture, store: impl Store + 'static) {
    let cache = cache(fixture, store);
    let value = "a".to_owned();
    cache.set("default", &value).await.unwrap();
    cache.set_for("short", &value, 10 * SECOND).await.unwrap();
    let found = async |key: &str| cache.get(key).await.unwrap().is_some();
    // Ends are whole seconds, so an entry may end up to one early.
    fixture.clock.advance(9 * SECOND);
    assert!(found("short").await);
    fixture.clock.advance(SECOND);
    assert!(!found("short").await);
    assert!(cache.get_many(["short", "default"]).await.unwrap().contains_key("default"));
    fixture.clock.advance(Duration::from_mins(55) - 11 * SECOND);
    assert!(found("default").await);
    fixture.clock.advance(SECOND);
    assert!(!found("default").await);
    cache.set("default", &value).await.unwrap();
    assert!(found("default").await, "a new one replaces one that has ended");
}

async fn namespaces_are_apart(fixture: &Fixture, store: impl Store + Clone + 'static) {
    let (name, value) = (fresh_namespace(), "a".to_owned());
    let within = |name: &str| fixture.over(store.clone()).namespace(name).build().unwrap();
    let (one, other) = (within(&name), within(&format!("{name}:b")));
    one.set("b:c", &value).await.unwrap();
    assert_eq!(other.get("c").await.unwrap(), None);
    let outside = fixture.over(store).build().unwrap();
    for key in ["b:c".to_owned(), format!("{name}:b:c"), format!("{name}#b:c")] {
        assert_eq!(outside.get(&key).await.unwrap(), None::<String>);
    }
    assert_eq!(one.get("b:c").await.unwrap(), Some(value));
}

async fn another_type_is_missing(fixture: &Fixture, store: impl Store + Clone + 'static) {
    let name = fresh_namespace();
    let texts = fixture.over(store.clone()).namespace(&name).build().unwrap();
    let bytes = fixture.over(store.clone()).namespace(&name).build().unwrap();
    let numbers = fixture.over(store).namespace(&name).build().unwrap();
    texts.set("a", &"text".to_owned()).await.unwrap();
    assert_eq!(bytes.get("a").await.unwrap(), None::<Vec<u8>>);
    assert_eq!(numbers.get("a").await.unwrap(), None::<Json<u64>>);
    assert_eq!((bytes.stats().unreadable, numbers.stats().unreadable), (1, 1));
    bytes.set("a", &vec![1]).await.unwrap();
    assert_eq!(texts.get("a").await.unwrap(), None::<String>);
    assert!(texts.get_many(["a"]).await.unwrap().is_empty());
    numbers.set("a", &Json(7)).await.unwrap();
    assert_eq!(texts.get("a").await.unwrap().as_deref(), Some("7"), "JSON is a text");
}

async fn keys_up_to_the_limit(fixture: &Fixture, store: impl Store + 'static) {
    let cache = cache::<String>(fixture, store);
    let most = 2048 - 2 - "##".len() - fresh_namespace().len();
    let longest = format!("{}é", "a".repeat(most - 2));
    for key in [longest.as_str(), " ", "#", "##", "/ \\\"{}", "佐藤"] {
        cache.set(key, &key.to_owned()).await.unwrap();
        assert_eq!(cache.get(key).await.unwrap().as_deref(), Some(key));
    }
    let reason = |error| match error {
        dynamodb_cache::CacheError::InvalidKey { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let too_long = cache.get(&format!("{longest}a")).await.unwrap_err();
    assert_eq!(reason(too_long), InvalidKeyReason::TooLong { bytes: 2047 });
    assert_eq!(reason(cache.get("").await.unwrap_err()), InvalidKeyReason::Empty);
}

async fn one_load(fixture: &Fixture, store: impl Store + 'static) {
    let cache = cache(fixture, store);
    let calls = (0..20).map(|n: u8| {
        cache.get_or_load("key", async move || {
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(format!("of {n}"))
        })
    });
    let got = in_time(futures::future::join_all(calls)).await;
    let first = cache.get("key").await.unwrap().unwrap();
    assert!(got.into_iter().all(|value| value.unwrap() == first));
    assert_eq!(cache.stats().loads, 1);
}

async fn one_addition(fixture: &Fixture, store: impl Store + 'static) {
    let cache = cache(fixture, store);
    let values: Vec<_> = (0..20).map(|n| format!("of {n}")).collect();
    let add = |value| cache.add_for("key", value, 10 * SECOND);
    let outcomes = in_time(futures::future::join_all(values.iter().map(add))).await;
    let added: Vec<_> = std::iter::zip(&values, outcomes)
        .filter(|(_, outcome)| *outcome.as_ref().unwrap() == AddOutcome::Added)
        .map(|(value, _)| value.clone())
        .collect();
    assert_eq!(added.len(), 1);
    assert_eq!(cache.get("key").await.unwrap().as_ref(), added.first());
    fixture.clock.advance(10 * SECOND);
    assert_eq!(cache.add("key", &values[0]).await.unwrap(), AddOutcome::Added, "the first ended");
    assert_eq!(cache.add("key", &values[1]).await.unwrap(), AddOutcome::Exists);
    assert!(cache.delete("key").await.unwrap());
    assert_eq!(cache.add("key", &values[1]).await.unwrap(), AddOutcome::Added);
}

async fn a_check_leaves_nothing(fixture: &Fixture, store: impl Store + 'static) {
    let before = fixture.aws.dynamodb().items(REGION, TABLE).len();
    cache::<String>(fixture, store).check().await.unwrap();
    assert_eq!(fixture.aws.dynamodb().items(REGION, TABLE).len(), before);
}
