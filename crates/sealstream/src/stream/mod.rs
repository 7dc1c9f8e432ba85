//! Reading a Kinesis stream.

pub(crate) mod args;
pub(crate) mod kinesis;
pub(crate) mod reader;
