#![doc = include_str!("../README.md")]

mod delivery;
mod mapping;
mod report;
mod sequence_number;
mod settings;
mod shard;

pub use mapping::EventSourceMapping;
pub use report::{Condition, Discarded, FunctionError, InvocationResult, Report};
pub use settings::{FirstRecordReported, InvalidSetting, Settings, StartingPosition};
pub use shard::{InvalidSequenceNumber, Shard};
