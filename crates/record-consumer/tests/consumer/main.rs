//! What the consumer writes, stores and reports, with real encryption, and a table and a quarantine
//! that misbehave.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod batches;
mod delivery;
mod fixture;
mod http;
mod kms_budget;
mod liveness;
mod mistakes;
mod quarantine;
mod throttling;
mod verdicts;
mod versions;
