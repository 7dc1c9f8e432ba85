//! Reads a hundred values of 1 KiB over and over, for `tools/bench/dynamodb_cache.py`.
//!
//! ```sh
//! cargo run --release --example cache_reads -- TABLE WAY READS
//! ```
//!
//! The way is `table`, `table-64-at-once`, `table-100-keys`, `local` or `local-load`.

use std::env;
use std::error::Error;

use dynamodb_cache::{Cache, CacheError, DynamoDbStore, LocalStore, TieredStore};
use futures::stream::{self, StreamExt, TryStreamExt};

const USAGE: &str =
    "usage: cache_reads TABLE table|table-64-at-once|table-100-keys|local|local-load READS";
const KEYS: usize = 100;
const AT_ONCE: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [table, way, times] =
        <[String; 3]>::try_from(env::args().skip(1).collect::<Vec<_>>()).map_err(|_| USAGE)?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws_config::load_from_env().await);
    let table = DynamoDbStore::new(&dynamodb, table.parse()?);
    let cache = match way.as_str() {
        way if way.starts_with("local") => {
            Cache::new(TieredStore::new(LocalStore::new(1 << 20), table))
        }
        _ => Cache::new(table),
    };
    let reads = Reads { cache, keys: (0..KEYS).map(|key| format!("key {key}")).collect() };
    reads.run(&way, times.parse()?).await
}

struct Reads {
    cache: Cache<String>,
    keys: Vec<String>,
}

impl Reads {
    async fn run(&self, way: &str, reads: usize) -> Result<(), Box<dyn Error>> {
        let value = "x".repeat(1024);
        let left = self.cache.set_many(self.keys.iter().map(|key| (key, &value))).await?;
        assert!(left.is_empty(), "all values are stored");
        match way {
            "table" | "local" => self.one_by_one(reads).await?,
            "table-64-at-once" => self.at_once(reads).await?,
            "table-100-keys" => self.many(reads / KEYS).await?,
            "local-load" => self.load(reads).await?,
            _ => return Err(USAGE.into()),
        }
        assert_eq!(self.cache.stats().hits, reads as u64, "all reads are hits");
        Ok(())
    }

    async fn one_by_one(&self, reads: usize) -> Result<(), CacheError> {
        for key in self.keys.iter().cycle().take(reads) {
            self.cache.get(key).await?;
        }
        Ok(())
    }

    async fn at_once(&self, reads: usize) -> Result<(), CacheError> {
        let reads = stream::iter(self.keys.iter().cycle().take(reads));
        let reads = reads.map(|key| self.cache.get(key)).buffer_unordered(AT_ONCE);
        reads.try_for_each(|_| std::future::ready(Ok(()))).await
    }

    async fn many(&self, times: usize) -> Result<(), CacheError> {
        for _ in 0..times {
            self.cache.get_many(&self.keys).await?;
        }
        Ok(())
    }

    async fn load(&self, reads: usize) -> Result<(), CacheError> {
        for key in self.keys.iter().cycle().take(reads) {
            let load = async || Err::<String, _>("there is nothing to load");
            self.cache.get_or_load(key, load).await?;
        }
        Ok(())
    }
}
