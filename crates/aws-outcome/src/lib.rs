#![doc = include_str!("../README.md")]

mod cause;
mod chain;
mod code;
mod credentials;
mod failure;
mod pauses;
mod response;
mod service;
mod transport;

pub use cause::{Cause, Class, CredentialsProblem};
pub use failure::Failure;
pub use pauses::Pauses;
pub use service::Service;
