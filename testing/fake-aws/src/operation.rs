//! The services and operations that are played.

/// A service that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon Kinesis Data Streams.
    Kinesis,
    /// AWS Key Management Service.
    Kms,
    /// AWS Lambda.
    Lambda,
    /// Amazon Simple Storage Service.
    S3,
}

/// An operation that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub enum Operation {
    /// DynamoDB's reads of up to 100 items.
    BatchGetItem,
    /// DynamoDB's puts and deletes of up to 25 items.
    BatchWriteItem,
    /// DynamoDB's removal of one item, with a condition or without.
    DeleteItem,
    /// DynamoDB's description of a table.
    DescribeTable,
    /// DynamoDB's read of one item.
    GetItem,
    /// DynamoDB's write of one item, with a condition or without.
    PutItem,
    /// Kinesis's description of a stream.
    DescribeStreamSummary,
    /// Kinesis's read of a shard's next records.
    GetRecords,
    /// Kinesis's place in a shard to read from.
    GetShardIterator,
    /// Kinesis's list of a stream's shards.
    ListShards,
    /// Kinesis's write of up to 500 records.
    PutRecords,
    /// KMS's decryption of what `Encrypt` or `GenerateDataKey` made.
    Decrypt,
    /// KMS's description of a key, which resolves an alias.
    DescribeKey,
    /// KMS's encryption of up to 4,096 bytes.
    Encrypt,
    /// KMS's new data key, in plaintext and encrypted.
    GenerateDataKey,
    /// Lambda's description of a function's settings.
    GetFunctionConfiguration,
    /// Lambda's synchronous invocation of a function.
    Invoke,
    /// S3's removal of an object.
    DeleteObject,
    /// S3's read of an object.
    GetObject,
    /// S3's list of a bucket's objects.
    ListObjectsV2,
    /// S3's write of an object.
    PutObject,
}

impl Operation {
    /// The service that it belongs to.
    #[must_use]
    pub fn service(self) -> Service {
        match self {
            Self::BatchGetItem
            | Self::BatchWriteItem
            | Self::DeleteItem
            | Self::DescribeTable
            | Self::GetItem
            | Self::PutItem => Service::DynamoDb,
            Self::DescribeStreamSummary
            | Self::GetRecords
            | Self::GetShardIterator
            | Self::ListShards
            | Self::PutRecords => Service::Kinesis,
            Self::Decrypt | Self::DescribeKey | Self::Encrypt | Self::GenerateDataKey => {
                Service::Kms
            }
            Self::GetFunctionConfiguration | Self::Invoke => Service::Lambda,
            Self::DeleteObject | Self::GetObject | Self::ListObjectsV2 | Self::PutObject => {
                Service::S3
            }
        }
    }
}
