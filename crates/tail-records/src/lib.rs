#![doc = include_str!("../README.md")]

mod decode;
mod error;
mod kinesis;
mod notice;
mod printer;
mod reader;
mod settings;
mod shards;
mod since;
mod tail;

pub use error::TailError;
pub use notice::Notice;
pub use settings::TailSettings;
pub use since::{InvalidSince, Since};
pub use tail::{Summary, tail};
