//! Settings that are not allowed.

use crate::key_attributes::InvalidKeyAttributes;

/// A setting of a [`Consumer`](crate::Consumer) or of its table that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The table's name is not one that DynamoDB allows.
    #[error(
        "the table name {0:?} is not allowed; expected 3 to 255 letters, digits, '_', '.' and '-', \
         or the table's ARN"
    )]
    TableName(String),
    /// The table's key attributes are not allowed.
    #[error("the table's key attributes are not allowed: {0}")]
    KeyAttributes(InvalidKeyAttributes),
    /// DynamoDB did not describe the table.
    #[error("table {table} cannot be described: {reason}; check its name, Region and permissions")]
    DescribeTable {
        /// Name of the table.
        table: String,
        /// DynamoDB's error code, or what is known of the failure.
        reason: String,
    },
    /// A key attribute of the table is binary.
    #[error("table {table} has the binary key attribute {attribute}; JSON has no binary values")]
    BinaryKey {
        /// Name of the table.
        table: String,
        /// Name of the attribute.
        attribute: String,
    },
    /// The version attribute's name is not allowed.
    #[error("the version attribute {0:?} is not allowed; expected a name of 1 to 65535 bytes")]
    VersionAttribute(String),
    /// The version attribute is part of the table's key, so that no item ever has another version.
    #[error("the version attribute {0:?} is a key attribute of the table; choose another")]
    VersionIsKey(String),
    /// Versions come from sequence numbers, and no attribute is named to store them.
    #[error("versions from sequence numbers need a version attribute to store them in")]
    NoVersionAttribute,
    /// The trace attribute's name is not allowed.
    #[error("the trace attribute {0:?} is not allowed; expected a name of 1 to 65535 bytes")]
    TraceAttribute(String),
}
