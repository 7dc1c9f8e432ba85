//! Pushes records to a Kinesis stream in several Regions, encrypted before they leave the process.
//!
//! A [`RecordPusher`] turns a map into JSON, encrypts it once, and puts the same ciphertext under
//! the same partition key to the stream in every Region. Data keys are cached, so AWS KMS is
//! called once per hundred records.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use record_pusher::{PusherSettings, RecordPusher};
//!
//! let settings = PusherSettings::new(
//!     "records".parse()?,
//!     "alias/sealstream".parse()?,
//!     vec!["us-east-1".parse()?, "eu-west-1".parse()?],
//! );
//! let config = aws_config::load_from_env().await;
//! let pusher = RecordPusher::new(&settings, &config).await?;
//!
//! let mut record = serde_json::Map::new();
//! record.insert("id".into(), "42".into());
//! record.insert("amount".into(), 1250.into());
//! let outcome = pusher.put_record(&record).await?;
//! for (region, delivery) in outcome.regions() {
//!     match delivery {
//!         Ok(at) => println!("{region}: {} {}", at.shard_id, at.sequence_number),
//!         Err(error) => println!("{region}: {error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod batcher;
mod groups;
mod kinesis;
#[cfg(feature = "lambda")]
pub mod lambda;
mod message_pusher;
#[cfg(feature = "telemetry")]
pub mod metrics;
mod outcome;
mod pipeline;
mod pusher;
mod receipt;
mod region;
mod settings;
mod stats;

pub use message_pusher::MessagePusher;
pub use outcome::{Delivery, DeliveryError, Outcome, PushError};
pub use pusher::{Pushed, RecordPusher};
pub use record_cipher::{
    CacheStats, CipherError, CipherStats, CmmStats, EncryptFor, Engine, ErrorKind, InvalidRecord,
    KmsError, KmsKeyId, KmsStats, Record, RegionName, SetupError, StreamName, Suite,
};
pub use settings::PusherSettings;
#[cfg(feature = "settings")]
pub use settings::TraceSettings;
pub use stats::{PusherStats, RegionStats};

/// Compiles the examples of the repository's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
