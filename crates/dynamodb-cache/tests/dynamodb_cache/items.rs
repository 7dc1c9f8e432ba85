//! What is in the table: written so that other programs can read it, and read whatever they wrote.

use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dynamodb_cache::{CacheError, Clock, Json};
use proptest::prelude::*;

use crate::fixture::{Fixture, Item, fresh_namespace, item, number, text};

const MAX_ITEM_BYTES: usize = 400 * 1024;

fn seconds(fixture: &Fixture) -> u64 {
    fixture.clock.now().wall.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_text_is_what_other_programs_expect() {
    let fixture = Fixture::new().await;
    fixture.clock.advance(Duration::from_nanos(300_000_001));
    let before = seconds(&fixture);
    fixture.cache().set("a", &"text".to_owned()).await.unwrap();
    let end = (before + 55 * 60).to_string();
    let expected =
        item([("id", text("a")), ("cached_value", text("text")), ("expires_at", number(&end))]);
    assert_eq!(fixture.item("a").await, Some(expected));
    fixture.cache().set("a", &Json(vec![1, 2])).await.unwrap();
    let stored = fixture.item("a").await.unwrap();
    assert_eq!((stored.len(), &stored["cached_value"]), (3, &text("[1,2]")));
}

#[tokio::test]
async fn what_is_no_text_says_so() {
    let fixture = Fixture::new().await;
    fixture.cache().set("a", &vec![0xff_u8, 0]).await.unwrap();
    let stored = fixture.item("a").await.unwrap();
    assert_eq!((&stored["cached_value"], &stored["kind"]), (&text("/wA="), &text("bytes")));
    fixture.cache::<Option<String>>().set("b", &None).await.unwrap();
    let stored = fixture.item("b").await.unwrap();
    assert_eq!((&stored["cached_value"], &stored["kind"]), (&text(""), &text("nothing")));
}

/// What another program put, as this crate reads it.
async fn read(fixture: &Fixture, item: Item) -> Option<String> {
    fixture.put(item).await;
    fixture.cache().get("a").await.unwrap()
}

fn foreign(expires_at: &str) -> Item {
    item([("id", text("a")), ("cached_value", text("x")), ("expires_at", number(expires_at))])
}

#[tokio::test]
async fn items_of_other_programs_are_read() {
    let fixture = Fixture::new().await;
    let now = seconds(&fixture);
    let soon = format!("{}.75", now + 9);
    assert_eq!(read(&fixture, foreign(&soon)).await.as_deref(), Some("x"));
    let mut more = foreign("1E20");
    more.insert("owner".to_owned(), number("7"));
    assert!(matches!(read(&fixture, more).await.as_deref(), Some("x") | None));
    fixture.put(foreign(&soon)).await;
    fixture.clock.advance(Duration::from_secs(11));
    assert_eq!(fixture.cache::<String>().get("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_fraction_of_a_second_counts() {
    let fixture = Fixture::new().await;
    let into_the_second =
        fixture.clock.now().wall.duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    fixture.clock.advance(Duration::from_nanos(1_000_000_000 - u64::from(into_the_second)));
    let end = format!("{}.5", seconds(&fixture));
    assert_eq!(read(&fixture, foreign(&end)).await.as_deref(), Some("x"));
    fixture.clock.advance(Duration::from_millis(499));
    assert_eq!(read(&fixture, foreign(&end)).await.as_deref(), Some("x"));
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(read(&fixture, foreign(&end)).await, None);
}

#[tokio::test]
async fn what_is_no_entry_counts_as_missing_with_a_reason() {
    let fixture = Fixture::new().await;
    let sound = foreign(&(seconds(&fixture) + 9).to_string());
    let with = |name: &str, value| {
        let mut item = sound.clone();
        item.insert(name.to_owned(), value);
        item
    };
    let without = |name| {
        let mut item = sound.clone();
        item.remove(name);
        item
    };
    let gzipped = |content: &str| {
        let mut item = with("compression", text("gzip"));
        item.insert("cached_value".to_owned(), text(content));
        item
    };
    for item in [
        without("cached_value"),
        without("expires_at"),
        with("cached_value", number("1")),
        with("expires_at", text("soon")),
        with("expires_at", number("-1")),
        with("expires_at", number("1E100")),
        with("kind", text("picture")),
        with("kind", number("1")),
        with("kind", text("bytes")),
        with("compression", text("lzma")),
        gzipped("no base64"),
        gzipped("AAAA"),
        gzipped(&STANDARD.encode(&gzip(b"whole")[..12])),
        gzipped(&STANDARD.encode(gzip(&[0xff]))),
        gzipped(&STANDARD.encode(gzip(&vec![0; (16 << 20) + 1]))),
    ] {
        fixture.put(item.clone()).await;
        let cache = fixture.cache::<String>();
        assert_eq!(cache.get("a").await.unwrap(), None, "{item:?}");
        let stats = cache.stats();
        assert_eq!((stats.unreadable, stats.hits, stats.absent), (1, 0, 0), "{item:?}");
        let loaded = cache.get_or_load("a", async || Ok::<_, CacheError>("new".to_owned()));
        assert_eq!(loaded.await.unwrap(), "new");
        assert_eq!(cache.get("a").await.unwrap().as_deref(), Some("new"));
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(content, flate2::Compression::best());
    encoder.read_to_end(&mut compressed).unwrap();
    compressed
}

/// The most that a text may have under the key `a`.
fn longest() -> usize {
    MAX_ITEM_BYTES - "id".len() - "a".len() - "cached_value".len() - "expires_at".len() - 21
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_sizes() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache::<String>();
    let [fits, too_large] = [longest(), longest() + 1].map(|bytes| "x".repeat(bytes));
    assert!(cache.set("a", &fits).await.unwrap());
    let error = cache.set("a", &too_large).await.unwrap_err().to_string();
    assert!(error.contains("409601 bytes") && error.contains("409600"), "{error}");
    assert!(error.contains("\"a\""), "{error}");
    // Nothing of a call is written if a part of it does not fit.
    assert!(cache.set_many([("b", &fits), ("a", &too_large)]).await.is_err());
    assert_eq!(cache.get("b").await.unwrap(), None);
    assert_eq!(cache.get("a").await.unwrap(), Some(fits), "the refused value replaced nothing");
    let bytes = vec![0; 307_200];
    let error = fixture.cache().set("a", &bytes).await.unwrap_err();
    assert!(matches!(error, CacheError::TooLarge { bytes: 409_655, .. }), "{error}");
}

#[tokio::test]
async fn what_is_loaded_and_does_not_fit_is_returned_all_the_same() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache();
    let value = "x".repeat(longest() + 1);
    let loaded = cache.get_or_load("a", async || Ok::<_, CacheError>(value.clone()));
    assert_eq!(loaded.await.unwrap(), value);
    assert_eq!((cache.stats().written, cache.stats().not_written), (0, 1));
}

#[tokio::test]
async fn large_values_are_compressed_if_so_set() {
    let fixture = Fixture::new().await;
    let store = fixture.store_builder().compress_above(1000).build();
    let cache = fixture.over(store.clone()).build().unwrap();
    let [small, large] = [1000, 5_000_000].map(|bytes| "é".repeat(bytes / 2));
    cache.set_many([("small", &small), ("large", &large)]).await.unwrap();
    assert_eq!(fixture.item("small").await.unwrap()["cached_value"], text(&small));
    let stored = fixture.item("large").await.unwrap();
    assert_eq!(stored["compression"], text("gzip"));
    let compressed = STANDARD.decode(stored["cached_value"].as_s().unwrap()).unwrap();
    let mut content = String::new();
    flate2::read::GzDecoder::new(&*compressed).read_to_string(&mut content).unwrap();
    assert!(content == large);
    // Whoever has the setting off reads it too.
    assert!(fixture.cache().get("large").await.unwrap() == Some(large));
    let bytes = fixture.over(store).build().unwrap();
    bytes.set("bytes", &vec![7; 2_000_000]).await.unwrap();
    assert!(fixture.cache().get("bytes").await.unwrap() == Some(vec![7; 2_000_000]));
    let error = bytes.set("bytes", &vec![7; (16 << 20) + 1]).await.unwrap_err();
    assert!(matches!(error, CacheError::TooLarge { limit: 16_777_216, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_value_comes_back(
        texts in prop::collection::vec(any::<String>(), 1..10),
        bytes in prop::collection::vec(any::<Vec<u8>>(), 1..10),
        compress_above in prop::option::of(0..100usize),
    ) {
        run(async {
            let fixture = Fixture::new().await;
            let mut store = fixture.store_builder();
            if let Some(above) = compress_above {
                store = store.compress_above(above);
            }
            let store = store.build();
            let cache = fixture.over(store.clone()).namespace("texts").build().unwrap();
            for value in texts {
                cache.set("a", &value).await.unwrap();
                assert_eq!(cache.get("a").await.unwrap(), Some(value));
            }
            let cache = fixture.over(store).namespace("bytes").build().unwrap();
            for value in bytes {
                cache.set("a", &value).await.unwrap();
                assert_eq!(cache.get("a").await.unwrap(), Some(value));
            }
        });
    }

    /// Whatever is in an item, it is read or it counts as missing.
    #[test]
    fn no_item_is_an_error(
        value in any::<String>(),
        expires_at in "-?[0-9]{1,25}(\\.[0-9]{1,10})?",
        kind in prop::option::of("bytes|nothing|[a-z]{0,3}"),
        compression in prop::option::of("gzip|[a-z]{0,3}"),
    ) {
        run(async {
            let fixture = Fixture::new().await;
            let key = fresh_namespace();
            let mut item = foreign(&expires_at);
            item.insert("id".to_owned(), text(&key));
            item.insert("cached_value".to_owned(), text(&value));
            item.extend(kind.map(|kind| ("kind".to_owned(), text(&kind))));
            item.extend(compression.map(|name| ("compression".to_owned(), text(&name))));
            fixture.put(item).await;
            fixture.cache::<String>().get(&key).await.unwrap();
            fixture.cache::<Option<Vec<u8>>>().get_many([&key]).await.unwrap();
        });
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}
