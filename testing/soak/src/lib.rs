#![doc = include_str!("../README.md")]

mod environment;
mod fault_schedule;
mod function;
pub mod kills;
mod ledger;
mod plan;
mod push;
mod report;
mod run;
mod samples;

pub use environment::{BUCKET, Environment, KEY_ALIAS, REGIONS, STREAM, TABLE};
pub use plan::Plan;
pub use report::{RegionReport, RunReport};
pub use run::run;
