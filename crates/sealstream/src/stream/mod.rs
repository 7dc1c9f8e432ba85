//! Reading a Kinesis stream.

pub(crate) mod kinesis;
pub(crate) mod reader;
