#![doc = include_str!("../README.md")]

mod figures;
mod function;
mod ledger;
mod plan;
mod push;
mod run;
mod samples;
mod stage;
mod storm;

pub use figures::{Figures, RegionFigures};
pub use plan::Plan;
pub use run::run;
pub use stage::{BUCKET, KEY_ALIAS, REGIONS, STREAM, Stage, TABLE};
