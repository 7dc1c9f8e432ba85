use std::fmt;

/// An AWS service whose error codes are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// AWS CloudFormation.
    CloudFormation,
    /// Amazon DynamoDB and DynamoDB Streams.
    DynamoDb,
    /// Amazon Kinesis Data Streams.
    Kinesis,
    /// AWS Key Management Service.
    Kms,
    /// AWS Lambda.
    Lambda,
    /// Amazon Simple Storage Service.
    S3,
    /// AWS Secrets Manager.
    SecretsManager,
    /// Amazon Simple Queue Service.
    Sqs,
    /// AWS Systems Manager.
    Ssm,
    /// AWS Security Token Service.
    Sts,
}

/// The name that AWS's documentation uses, for example `Systems Manager`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CloudFormation => "CloudFormation",
            Self::DynamoDb => "DynamoDB",
            Self::Kinesis => "Kinesis",
            Self::Kms => "AWS KMS",
            Self::Lambda => "Lambda",
            Self::S3 => "S3",
            Self::SecretsManager => "Secrets Manager",
            Self::Sqs => "SQS",
            Self::Ssm => "Systems Manager",
            Self::Sts => "AWS STS",
        })
    }
}
