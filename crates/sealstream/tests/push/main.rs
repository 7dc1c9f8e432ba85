//! `sealstream push` and `sealstream resume` as processes, against an endpoint that fails on command:
//! whatever happens to a process, the fate of every record is known.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod clock;
mod connections;
mod credentials;
mod fixture;
mod ignored_signals;
mod input;
mod kills;
mod memory;
mod operator;
mod output;
mod regions;
mod signals;
mod spool;
