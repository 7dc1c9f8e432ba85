//! The mapping against Lambda's documented rules.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod any_failures;
mod delivery;
mod fixture;
mod partial_failures;
