//! Which operation a request asks for, and in which Region.

use hyper::Method;
use hyper::http::request::Parts;

use crate::answer::ServiceError;
use crate::operation::Operation;

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

/// Returns the id of the access key that a request is signed with.
pub(crate) fn access_key(head: &Parts) -> &str {
    let credential = header(head, "authorization").and_then(|text| text.split_once("Credential="));
    credential.and_then(|(_, credential)| credential.split('/').next()).unwrap_or_default()
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
