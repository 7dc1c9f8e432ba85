//! Names of attributes are settings.

use dynamodb_cache::{AddOutcome, AttributeNames, Cache, CacheError, DynamoDbStore};
use fake_aws::KeyType;
use std::time::Duration;

use crate::fixture::{Fixture, REGION, in_time};

#[tokio::test]
async fn a_table_with_other_names_is_used() {
    let fixture = Fixture::new().await;
    // Two of them are reserved words of DynamoDB.
    fixture.aws.dynamodb().create_table(REGION, "sessions", &[("key", KeyType::Text)]);
    let names = AttributeNames::new("key", "value", "ttl").unwrap();
    let store = DynamoDbStore::builder(&fixture.client, "sessions".parse().unwrap());
    let store = store.attribute_names(names).build();
    let cache: Cache<String> = fixture.over(store).lease(Duration::from_secs(3)).build().unwrap();
    in_time(cache.check()).await.unwrap();
    let load = async || Ok::<_, CacheError>("loaded".to_owned());
    assert_eq!(cache.get_or_load("a", load).await.unwrap(), "loaded");
    assert_eq!(cache.get("a").await.unwrap().as_deref(), Some("loaded"));
    assert_eq!(cache.add("a", &"b".to_owned()).await.unwrap(), AddOutcome::Exists);
    let values = ["a", "b"].map(|key| (key, "batch".to_owned()));
    let values = values.each_ref().map(|(key, value)| (*key, value));
    assert!(cache.set_many(values).await.unwrap().is_empty());
    assert_eq!(cache.get_many(["a", "b"]).await.unwrap().len(), 2);
    let items = fixture.aws.dynamodb().items(REGION, "sessions");
    assert_eq!(items.len(), 2);
    for item in &items {
        assert_eq!(item.keys().map(String::as_str).collect::<Vec<_>>(), ["key", "ttl", "value"]);
    }
    assert!(cache.delete_many(["a", "b"]).await.unwrap().is_empty());
    assert!(fixture.aws.dynamodb().items(REGION, "sessions").is_empty());
}

#[test]
fn names_that_cannot_be_are_refused() {
    let long = "a".repeat(256);
    for [key, value, expiry] in [
        ["", "value", "ttl"],
        ["key", "value", &long],
        ["key", "key", "ttl"],
        ["key", "value", "kind"],
        ["compression", "value", "ttl"],
        ["key", "written_at", "ttl"],
        ["key", "value", "added_by"],
    ] {
        let error = AttributeNames::new(key, value, expiry).unwrap_err();
        assert!(error.to_string().starts_with("attribute \""), "{error}");
    }
    assert_eq!(
        AttributeNames::new("id", "cached_value", "expires_at").unwrap(),
        AttributeNames::default()
    );
}
