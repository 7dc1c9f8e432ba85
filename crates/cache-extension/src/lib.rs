#![doc = include_str!("../README.md")]

mod api;
mod aws;
mod cache;
mod clock;
pub mod config;
mod entry;
mod json;
mod lambda;
mod names;
mod query;
mod seal;
mod server;
mod settings;
mod shared;
mod slot;
mod upstream;
mod value;

pub use api::{Api, Token};
pub use aws::{Aws, config as aws_config};
pub use cache::Cache;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use entry::{Entry, Item, KeyAttribute, KeyValue, Parameter, Source};
pub use lambda::run;
pub use server::Server;
pub use settings::Settings;
pub use shared::{SharedTable, SharedTier};
pub use slot::{Answer, Freshness, RETRY_PAUSE};
pub use upstream::{Load, LoadError, PARAMETERS_AT_ONCE, Request, Upstream, Want};
pub use value::{Kind, Loaded, Value};
