use aws_outcome::{Cause, Class, Failure, Service};

/// A row of the table that tests/data/modelled_errors.py generates.
struct Row {
    service: Service,
    operation: &'static str,
    code: &'static str,
    retry: &'static str,
    cause: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    let lines = include_str!("../data/modelled_errors.tsv").lines().skip(1);
    lines.map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        let [service, operation, code, _, retry, cause] = columns[..] else {
            panic!("six columns: {line}")
        };
        Row { service: service_of(service), operation, code, retry, cause }
    })
}

fn service_of(name: &str) -> Service {
    match name {
        "cloudformation" => Service::CloudFormation,
        "dynamodb" => Service::DynamoDb,
        "kinesis" => Service::Kinesis,
        "kms" => Service::Kms,
        "lambda" => Service::Lambda,
        // S3's model names few of its errors, so it stands for codes that all services share.
        "any" | "s3" => Service::S3,
        "secretsmanager" => Service::SecretsManager,
        "sqs" => Service::Sqs,
        "ssm" => Service::Ssm,
        "sts" => Service::Sts,
        _ => panic!("unknown service {name}"),
    }
}

#[test]
fn every_modelled_error_has_the_reviewed_cause() {
    for Row { service, operation, code, cause, .. } in rows() {
        let found = format!("{:?}", Failure::from_code(service, code).cause());
        assert_eq!(found, cause, "{service} {operation} {code}");
    }
    assert!(rows().count() > 300);
}

#[test]
fn whatever_botocore_retries_is_retryable() {
    let retried = rows().filter(|row| row.retry != "-");
    // Outside of DynamoDB and Kinesis it is a quota.
    let retried = retried.filter(|row| row.code != "LimitExceededException");
    for Row { service, code, .. } in retried {
        let class = Failure::from_code(service, code).class();
        assert_eq!(class, Class::Retryable, "{service} {code}");
    }
}

/// "Common Errors" of the API references, and error responses of S3. The models do not have them.
#[test]
fn errors_that_every_service_may_answer() {
    use aws_outcome::CredentialsProblem::Rejected;
    let cases = [
        (Cause::AccessDenied, "AccessDenied AccessDeniedException NotAuthorized OptInRequired"),
        (Cause::ClockSkew, "RequestExpired RequestTimeTooSkewed"),
        (Cause::ExpiredToken, "ExpiredToken ExpiredTokenException"),
        (Cause::TooLarge, "EntityTooLarge RequestEntityTooLargeException"),
        (Cause::Throttled, "SlowDown Throttling ThrottlingException"),
        (Cause::Timeout, "RequestTimeout"),
        (Cause::Unavailable, "InternalError InternalFailure ServiceUnavailable"),
        (Cause::Validation, "InvalidParameterValue SerializationException ValidationError"),
        (
            Cause::Credentials(Rejected),
            "IncompleteSignature InvalidAccessKeyId InvalidClientTokenId InvalidSignatureException \
             MissingAuthenticationToken SignatureDoesNotMatch UnrecognizedClientException",
        ),
    ];
    for (cause, codes) in cases {
        for code in codes.split(' ') {
            assert_eq!(Failure::from_code(Service::Kinesis, code).cause(), cause, "{code}");
        }
    }
}

/// Codes of single entries in an answer: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>.
#[test]
fn codes_of_entries_and_cancellation_reasons() {
    let cases = [
        (Service::Kinesis, "ProvisionedThroughputExceededException", Cause::Throttled),
        (Service::Kinesis, "InternalFailure", Cause::Unavailable),
        (Service::DynamoDb, "ConditionalCheckFailed", Cause::ConditionFailed),
        (Service::DynamoDb, "ItemCollectionSizeLimitExceeded", Cause::ItemCollectionFull),
        (Service::DynamoDb, "TransactionConflict", Cause::Conflict),
        (Service::DynamoDb, "ProvisionedThroughputExceeded", Cause::Throttled),
        (Service::DynamoDb, "ThrottlingError", Cause::Throttled),
        (Service::DynamoDb, "ValidationError", Cause::Validation),
    ];
    for (service, code, cause) in cases {
        let failure = Failure::from_code(service, code);
        assert_eq!(failure.cause(), cause, "{code}");
        assert_eq!(failure.to_string(), format!("{cause} ({code})"));
    }
}

#[test]
fn a_code_that_is_not_one_is_not_shown() {
    for code in ["", "SECRET value", "SECRET\u{1b}[0m", &"SECRET".repeat(100)] {
        let failure = Failure::from_code(Service::Kms, code);
        assert_eq!((failure.cause(), failure.code()), (Cause::Other, None));
        assert_eq!(failure.to_string(), "the request failed");
    }
}
