#![doc = include_str!("../README.md")]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod answer;
mod base64_bytes;
mod call;
mod clock;
mod condition;
mod connections;
mod credentials;
mod decimal;
mod dynamodb;
mod extensions_api;
mod faults;
mod item;
mod kinesis;
mod kms;
mod lambda;
mod operation;
mod runtime_api;
mod s3;
mod server;
mod transmission;

pub use dynamodb::{DynamoDb, KeyType};
pub use extensions_api::ExtensionsApi;
pub use faults::{Calls, Fault, Faults, Rule, RuleId};
pub use item::Item;
pub use kinesis::{Kinesis, Record, StreamSettings, Totals};
pub use kms::kms_key_arn;
pub use lambda::Lambda;
pub use operation::{Operation, Service};
pub use runtime_api::{Invocation, RuntimeApi, Summary};
pub use s3::S3;
pub use server::FakeAws;

/// The account that owns everything here.
const ACCOUNT: &str = "000000000000";

/// State is changed in one step under its lock, so a panic elsewhere leaves it whole.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
