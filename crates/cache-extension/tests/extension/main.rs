//! The extension through its public interfaces: the cache with a clock and an upstream of the
//! test's own, and HTTP on loopback.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod aws_paths;
mod cache;
mod fixture;
mod freezes;
mod http;
mod security;
