//! The cache through its public interface, over every store.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod attribute_names;
mod clocks;
mod conformance;
mod failure_policy;
mod fixture;
mod items;
mod keys;
mod lease_processes;
mod leases;
mod loading;
mod log;
mod model;
mod oauth_token;
#[path = "../../examples/oauth_token/provider.rs"]
mod provider;
mod secrets;
mod tiers;
mod trouble;
