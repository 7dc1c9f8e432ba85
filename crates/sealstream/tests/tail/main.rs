//! `sealstream tail` against an endpoint that fails, splits shards and denies access on
//! command.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod ending;
mod failures;
mod fixture;
mod printing;
mod shards;
