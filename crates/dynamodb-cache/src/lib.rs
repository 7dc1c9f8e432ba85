#![doc = include_str!("../README.md")]

mod builder;
mod cache;
mod clock;
mod dynamodb;
mod error;
mod flight;
mod in_progress;
mod key;
mod lease;
mod load;
mod local_store;
mod stats;
mod store;
mod table_name;
mod tiered_store;
mod value;

pub use builder::{CacheBuilder, DEFAULT_TIME_TO_LIVE};
pub use cache::{Cache, Cached};
pub use clock::{Clock, ManualClock, Now, SystemClock, Timestamp};
pub use dynamodb::{
    AttributeNames, DynamoDbStore, DynamoDbStoreBuilder, FailurePolicy, InvalidAttributeNames,
};
pub use error::{CacheError, InvalidKeyReason};
pub use key::Key;
pub use load::Loaded;
pub use local_store::LocalStore;
pub use stats::{CacheStats, DynamoDbStats, LocalStats};
pub use store::{AddOutcome, Entry, Freshness, Lease, LeaseOutcome, Lookup, Miss, Store};
pub use table_name::{InvalidTableName, TableName};
pub use tiered_store::TieredStore;
pub use value::{Cacheable, Json, Unreadable, Unwritable, Value};
