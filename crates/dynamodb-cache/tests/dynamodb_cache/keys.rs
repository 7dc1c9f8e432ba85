//! Names of tables, namespaces and keys.

use std::time::Duration;

use dynamodb_cache::{Cache, CacheError, LocalStore, TableName};

use crate::fixture::{Fixture, text};

#[test]
fn a_table_is_named_by_convention_or_by_setting() {
    assert_eq!(TableName::for_app("orders", "prod").unwrap().as_str(), "orders-cache-prod");
    assert_eq!("Other.table_1".parse::<TableName>().unwrap().to_string(), "Other.table_1");
    for name in ["", "ab", "a b c", "tablé", &"a".repeat(256)] {
        let error = name.parse::<TableName>().unwrap_err().to_string();
        assert!(error.contains("3 to 255 letters") && error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn without_a_namespace_the_id_is_the_key() {
    let fixture = Fixture::new().await;
    fixture.cache().set("a#b:c", &"x".to_owned()).await.unwrap();
    assert_eq!(fixture.item("a#b:c").await.unwrap()["cached_value"], text("x"));
    let within = fixture.over(fixture.store()).namespace("tokens").build().unwrap();
    within.set("a", &"y".to_owned()).await.unwrap();
    assert_eq!(fixture.item("#tokens#a").await.unwrap()["cached_value"], text("y"));
}

#[tokio::test]
async fn no_key_reaches_into_a_namespace() {
    let cache = Cache::<String>::new(LocalStore::new(1000));
    for key in ["#tokens#a", "##a", "#"] {
        let error = cache.get(key).await.unwrap_err();
        assert!(error.to_string().contains("begins with #"), "{error}");
        assert!(!error.is_retryable());
        assert!(cache.set(key, &String::new()).await.is_err());
        assert!(cache.delete_many(["a", key]).await.is_err());
        assert!(
            cache.get_or_load(key, async || Ok::<_, CacheError>("a".to_owned())).await.is_err()
        );
    }
}

#[test]
fn a_namespace_has_a_name_without_marks() {
    for namespace in ["", "#", "a#b"] {
        let error = Cache::<String>::builder(LocalStore::new(1000)).namespace(namespace).build();
        assert!(matches!(error, Err(CacheError::InvalidNamespace { .. })), "{namespace}");
    }
}

#[tokio::test]
async fn times_are_at_least_a_second() {
    let builder = || Cache::<String>::builder(LocalStore::new(1000));
    let short = Duration::from_millis(999);
    let error = builder().time_to_live(short).build().unwrap_err().to_string();
    assert!(error.contains("is 999ms: it must be at least 1 s"), "{error}");
    let cache = builder().build().unwrap();
    for time_to_live in [short, Duration::ZERO, Duration::MAX] {
        assert!(cache.set_for("a", &String::new(), time_to_live).await.is_err());
    }
    assert!(cache.set_for("a", &String::new(), Duration::from_secs(1)).await.unwrap());
}
