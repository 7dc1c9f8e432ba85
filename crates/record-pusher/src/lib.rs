//! Pushes records to a Kinesis stream in several Regions, encrypted before they leave the process.
//!
//! A [`RecordPusher`] encrypts each record once, and puts the same ciphertext under the same
//! partition key to the stream in every Region. Data keys are cached, so AWS KMS is called once per
//! hundred records.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use record_pusher::{Record, RecordPusher};
//! use serde::Serialize;
//!
//! #[derive(Serialize)]
//! struct Payment {
//!     id: String,
//!     amount: u64,
//! }
//!
//! // Naming a Region keeps the SDK from asking the instance metadata for one.
//! let config = aws_config::from_env().region("us-east-1").load().await;
//! let regions = vec!["us-east-1".parse()?, "eu-west-1".parse()?];
//! let pusher = RecordPusher::builder("records".parse()?, "alias/sealstream".parse()?, regions)
//!     .delivery_timeout(Duration::from_secs(20))
//!     .build(&config)
//!     .await?;
//!
//! let record = Record::from_serialize(&Payment { id: "42".to_owned(), amount: 1250 })?;
//! let outcome = pusher.put_record(record).await?;
//! for (region, delivery) in outcome.regions() {
//!     match delivery {
//!         Ok(delivery) => println!("{region}: {}", delivery.sequence_number),
//!         Err(error) => println!("{region}: {error}"),
//!     }
//! }
//!
//! // At shutdown: what was accepted is delivered, or returned.
//! let undelivered = pusher.close(Duration::from_secs(10)).await;
//! println!("{} records or messages were not delivered", undelivered.len());
//! # Ok(())
//! # }
//! ```

mod aggregator;
mod batcher;
mod builder;
mod capacity;
mod delivery;
mod entry;
mod item_key;
mod kinesis;
#[cfg(feature = "lambda")]
pub mod lambda;
mod limits;
mod message_pusher;
#[cfg(feature = "telemetry")]
pub mod metrics;
mod outage;
mod outcome;
mod pending_delivery;
mod pipeline;
mod pusher;
mod region;
mod silence;
mod stats;

pub use aws_outcome::Cause;
pub use builder::{RecordPusherBuilder, SetupError};
pub use item_key::{InvalidItem, InvalidItemKey, ItemKey};
pub use message_pusher::MessagePusher;
pub use outage::{OnOutage, Outage};
pub use outcome::{Delivery, DeliveryError, Outcome, PushError, Undelivered};
pub use pusher::{Pushed, RecordPusher};
pub use record_cipher::{
    CacheStats, CipherError, CipherStats, CmmStats, Compression, EncryptFor, Engine, ErrorKind,
    InvalidRecord, KmsKeyId, KmsStats, Record, RegionName, StreamName, Suite,
};
pub use stats::{PusherStats, RegionStats};

/// Compiles the examples of the repository's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
