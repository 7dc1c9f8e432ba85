//! Data keys from AWS KMS: a materials manager on the AWS SDK.
//!
//! Source: AWS Encryption SDK specification, `framework/aws-kms` and `framework/default-cmm.md`.

mod client;
mod data_key;
mod decrypt;
mod encrypt;
mod error;

pub(crate) use client::{Clients, KmsClient};
pub(crate) use data_key::DataKey;
pub(crate) use decrypt::{Discovery, StrictKey, StrictKeys};
pub(crate) use encrypt::{NewDataKey, Regional, Regions};
pub use error::KmsError;

/// The provider id of data keys that KMS encrypted.
const PROVIDER_ID: &str = "aws-kms";
