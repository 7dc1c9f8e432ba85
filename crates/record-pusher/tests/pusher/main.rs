//! A pusher with the real AWS clients, against an endpoint that fails on command.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod aggregation;
mod faults;
mod fixture;
#[cfg(feature = "lambda")]
mod invocation;
mod keys;
mod life_cycle;
mod limits;
mod regions;
mod settings;
