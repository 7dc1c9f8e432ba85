//! Which operation a request asks for, and in which Region.

use hyper::Method;
use hyper::http::request::Parts;

use crate::answer::ServiceError;

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

/// An operation in a Region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) region: String,
    pub(crate) operation: Operation,
}

impl Call {
    /// The Region is the one that the request is signed for; the signature is not checked.
    pub(crate) fn of(head: &Parts) -> Result<Self, ServiceError> {
        let (region, service) = credential_scope(head).ok_or_else(|| {
            ServiceError::new(403, "MissingAuthenticationToken", "the request is not signed")
        })?;
        let operation = match service {
            "s3" => s3_operation(head),
            "lambda" => lambda_operation(head),
            _ => target(head),
        };
        let operation = operation.ok_or_else(|| {
            ServiceError::new(400, "UnknownOperationException", "fake-aws does not play this")
        })?;
        Ok(Self { region: region.to_owned(), operation })
    }
}

/// Region and service from `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn credential_scope(head: &Parts) -> Option<(&str, &str)> {
    let (_, credential) = header(head, "authorization")?.split_once("Credential=")?;
    let mut scope = credential.split('/').skip(2);
    Some((scope.next()?, scope.next()?))
}

fn target(head: &Parts) -> Option<Operation> {
    Some(match header(head, "x-amz-target")? {
        "DynamoDB_20120810.BatchGetItem" => Operation::BatchGetItem,
        "DynamoDB_20120810.BatchWriteItem" => Operation::BatchWriteItem,
        "DynamoDB_20120810.DeleteItem" => Operation::DeleteItem,
        "DynamoDB_20120810.DescribeTable" => Operation::DescribeTable,
        "DynamoDB_20120810.GetItem" => Operation::GetItem,
        "DynamoDB_20120810.PutItem" => Operation::PutItem,
        "Kinesis_20131202.DescribeStreamSummary" => Operation::DescribeStreamSummary,
        "Kinesis_20131202.GetRecords" => Operation::GetRecords,
        "Kinesis_20131202.GetShardIterator" => Operation::GetShardIterator,
        "Kinesis_20131202.ListShards" => Operation::ListShards,
        "Kinesis_20131202.PutRecords" => Operation::PutRecords,
        "TrentService.Decrypt" => Operation::Decrypt,
        "TrentService.DescribeKey" => Operation::DescribeKey,
        "TrentService.Encrypt" => Operation::Encrypt,
        "TrentService.GenerateDataKey" => Operation::GenerateDataKey,
        _ => return None,
    })
}

fn s3_operation(head: &Parts) -> Option<Operation> {
    let (_, key) = head.uri.path().trim_start_matches('/').split_once('/').unwrap_or_default();
    match (&head.method, key.is_empty()) {
        (&Method::GET, true) if head.uri.query()?.contains("list-type=2") => {
            Some(Operation::ListObjectsV2)
        }
        (&Method::GET, false) => Some(Operation::GetObject),
        (&Method::PUT, false) => Some(Operation::PutObject),
        (&Method::DELETE, false) => Some(Operation::DeleteObject),
        _ => None,
    }
}

fn lambda_operation(head: &Parts) -> Option<Operation> {
    let path = head.uri.path();
    match head.method {
        Method::POST if path.ends_with("/invocations") => Some(Operation::Invoke),
        Method::GET if path.ends_with("/configuration") => {
            Some(Operation::GetFunctionConfiguration)
        }
        _ => None,
    }
}

pub(crate) fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}
