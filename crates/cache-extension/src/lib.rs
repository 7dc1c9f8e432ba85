#![doc = include_str!("../README.md")]

mod api;
mod aws;
mod aws_paths;
mod cache;
pub mod config;
mod connections;
mod entry;
mod json;
mod lambda;
mod names;
mod query;
mod refusal;
mod server;
mod settings;
mod shared;
mod slot;
mod table_cipher;
mod upstream;
mod value;

pub use api::{Api, Token};
pub use aws::{Aws, Timeouts, config as aws_config};
pub use aws_paths::{AwsPathSettings, CallCache, ServiceCalls};
pub use cache::Cache;
pub use entry::{Action, Call, Entry, Item, KeyAttribute, KeyValue, Parameter, Source};
pub use lambda::run;
pub use server::Server;
pub use settings::Settings;
pub use shared::{SharedTable, SharedTier};
pub use slot::{Answer, CacheStatus, RETRY_PAUSE};
pub use upstream::{Freshness, Load, LoadError, Request, Upstream};
pub use value::{Kind, Loaded, Value};
