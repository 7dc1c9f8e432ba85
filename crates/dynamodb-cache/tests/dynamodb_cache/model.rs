//! Any sequence of operations against a model that is too simple to be wrong.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dynamodb_cache::{Cache, Clock, Loaded, LocalStore, Store, TieredStore};
use proptest::prelude::*;

use crate::fixture::Fixture;

#[derive(Debug, Clone)]
enum Step {
    Set { keys: Vec<u8>, seconds: u64 },
    Get { keys: Vec<u8> },
    Delete { keys: Vec<u8> },
    GetOrLoad { key: u8, seconds: u64 },
    Wait { milliseconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || prop::collection::vec(0..4u8, 1..4);
    prop_oneof![
        3 => (keys(), 1..20u64).prop_map(|(keys, seconds)| Step::Set { keys, seconds }),
        5 => keys().prop_map(|keys| Step::Get { keys }),
        1 => keys().prop_map(|keys| Step::Delete { keys }),
        3 => (0..4u8, 0..20u64).prop_map(|(key, seconds)| Step::GetOrLoad { key, seconds }),
        3 => (0..8000u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

#[derive(Default)]
struct Model(HashMap<u8, (String, SystemTime)>);

impl Model {
    fn set(&mut self, key: u8, value: &str, now: SystemTime, seconds: u64) {
        let end = now.duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
        self.0.insert(key, (value.to_owned(), UNIX_EPOCH + Duration::from_secs(end)));
    }

    fn get(&self, key: u8, now: SystemTime) -> Option<String> {
        self.0.get(&key).filter(|(_, end)| *end > now).map(|(value, _)| value.clone())
    }
}

async fn agrees(fixture: &Fixture, store: impl Store + 'static, steps: Vec<Step>) {
    let cache: Cache<String> = fixture.over(store).namespace("model").build().unwrap();
    let mut model = Model::default();
    for (number, step) in steps.into_iter().enumerate() {
        let now = fixture.clock.now().wall;
        let value = number.to_string();
        match step {
            Step::Set { keys, seconds } => {
                let values = keys.iter().map(|key| (key.to_string(), &value));
                let left = cache.set_many_for(values, Duration::from_secs(seconds)).await.unwrap();
                assert!(left.is_empty());
                keys.iter().for_each(|key| model.set(*key, &value, now, seconds));
            }
            Step::Get { keys } => {
                let found = cache.get_many(keys.iter().map(u8::to_string)).await.unwrap();
                for key in keys {
                    let expected = model.get(key, now);
                    assert_eq!(found.get(&key.to_string()), expected.as_ref());
                    assert_eq!(cache.get(&key.to_string()).await.unwrap(), expected);
                }
            }
            Step::Delete { keys } => {
                let left = cache.delete_many(keys.iter().map(u8::to_string)).await.unwrap();
                assert!(left.is_empty());
                keys.iter().for_each(|key| drop(model.0.remove(key)));
            }
            Step::GetOrLoad { key, seconds } => {
                let loaded = Loaded::for_time(value.clone(), Duration::from_secs(seconds));
                let load = async || Ok::<_, std::io::Error>(loaded);
                let got = cache.get_or_load(&key.to_string(), load).await.unwrap();
                let expected = model.get(key, now);
                if expected.is_none() && seconds > 0 {
                    model.set(key, &value, now, seconds);
                }
                assert_eq!(got, expected.unwrap_or(value));
            }
            Step::Wait { milliseconds } => {
                fixture.clock.advance(Duration::from_millis(milliseconds));
            }
        }
    }
}

fn local() -> LocalStore {
    LocalStore::new(1 << 20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_store_agrees_with_the_model(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            agrees(&fixture, fixture.store(), steps.clone()).await;
            let fixture = Fixture::new().await;
            let tiered = TieredStore::new(local(), fixture.store()).max_age(Duration::from_secs(5));
            agrees(&fixture, tiered, steps.clone()).await;
            agrees(&fixture, local(), steps).await;
        });
    }
}
