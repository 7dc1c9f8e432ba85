use crate::cause::{Cause, CredentialsProblem};
use crate::service::Service;

/// What an error code means, whatever the HTTP status. `None` if the code is unknown.
///
/// Codes mean the same in all services but for two, so there is one table. It holds the codes that
/// the services' models name, the codes that every service may return
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html>), and the codes of
/// single entries in a batch or transaction. Many codes exist with and without `Exception`.
pub(crate) fn cause_of(service: Service, code: &str) -> Option<Cause> {
    let code = code.strip_suffix("Exception").unwrap_or(code);
    match (service, code) {
        // A rate of calls, or the number of tables that change at the same time.
        (Service::DynamoDb | Service::Kinesis, "LimitExceeded") => return Some(Cause::Throttled),
        (_, "LimitExceeded") => return Some(Cause::LimitExceeded),
        // The secret's state: it is about to be deleted, for example.
        (Service::SecretsManager, "InvalidRequest") => return Some(Cause::InvalidState),
        _ => {}
    }
    throttling(code)
        .or_else(|| of_credentials(code))
        .or_else(|| of_the_service(code))
        .or_else(|| of_the_resource(code))
        .or_else(|| of_the_request(code))
}

fn throttling(code: &str) -> Option<Cause> {
    let is_throttling = code.contains("Throttl")
        || matches!(
            code,
            "BandwidthLimitExceeded"
                | "OverLimit"
                | "PriorRequestNotComplete"
                | "ProvisionedThroughputExceeded"
                | "RequestLimitExceeded"
                | "SlowDown"
                | "TooManyRequests"
        );
    is_throttling.then_some(Cause::Throttled)
}

fn of_credentials(code: &str) -> Option<Cause> {
    Some(match code {
        "AuthFailure"
        | "IDPRejectedClaim"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidIdentityToken"
        | "InvalidSecurity"
        | "InvalidSignature"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingSecurityHeader"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClient" => Cause::Credentials(CredentialsProblem::Rejected),
        "ExpiredToken" | "TokenRefreshRequired" => Cause::ExpiredToken,
        "RequestExpired" | "RequestInTheFuture" | "RequestTimeTooSkewed" => Cause::ClockSkew,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "EC2AccessDenied"
        | "KMSAccessDenied"
        | "KMSOptInRequired"
        | "KmsAccessDenied"
        | "KmsOptInRequired"
        | "NotAuthorized"
        | "OptInRequired"
        | "RegionDisabled"
        | "UnauthorizedOperation" => Cause::AccessDenied,
        _ => return None,
    })
}

fn of_the_service(code: &str) -> Option<Cause> {
    Some(match code {
        "DependencyTimeout"
        | "EC2Unexpected"
        | "EFSIO"
        | "EFSMountConnectivity"
        | "EFSMountTimeout"
        | "IDPCommunicationError"
        | "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalService"
        | "InternalServiceError"
        | "KMSInternal"
        | "KeyUnavailable"
        | "S3FilesMountConnectivity"
        | "S3FilesMountTimeout"
        | "Service"
        | "ServiceUnavailable"
        | "SnapStart"
        | "SnapStartTimeout" => Cause::Unavailable,
        "RequestTimeout" => Cause::Timeout,
        "ExpiredIterator" | "ExpiredNextToken" => Cause::ExpiredIterator,
        "ReplicatedWriteConflict"
        | "TransactionCanceled"
        | "TransactionConflict"
        | "TransactionInProgress" => Cause::Conflict,
        _ => return None,
    })
}

fn of_the_resource(code: &str) -> Option<Cause> {
    Some(match code {
        "AWS.SimpleQueueService.NonExistentQueue"
        | "KMSNotFound"
        | "KmsNotFound"
        | "NoPublishedVersion"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "NoSuchVersion"
        | "NotFound"
        | "ParameterNotFound"
        | "ParameterVersionNotFound"
        | "QueueDoesNotExist"
        | "ResourceNotFound" => Cause::NotFound,
        "ENINotReady"
        | "ResourceConflict"
        | "ResourceInUse"
        | "ResourceNotReady"
        | "SnapStartNotReady"
        | "SnapStartRegenerationFailure" => Cause::NotReady,
        "Disabled" | "KMSDisabled" | "KmsDisabled" => Cause::Disabled,
        "DecryptionFailure"
        | "InvalidKeyId"
        | "InvalidKeyUsage"
        | "InvalidObjectState"
        | "InvalidRuntime"
        | "InvalidSecurityGroupID"
        | "InvalidSubnetID"
        | "InvalidZipFile"
        | "KMSInvalidState"
        | "KmsInvalidKeyUsage"
        | "KmsInvalidState" => Cause::InvalidState,
        "ENILimitReached" | "ServiceQuotaExceeded" | "SubnetIPAddressLimitReached" => {
            Cause::LimitExceeded
        }
        "InvalidAddress" | "InvalidArn" => Cause::Configuration,
        _ => return None,
    })
}

fn of_the_request(code: &str) -> Option<Cause> {
    Some(match code {
        "IncorrectKey" | "InvalidCiphertext" => Cause::InvalidCiphertext,
        "ConditionalCheckFailed" | "PreconditionFailed" => Cause::ConditionFailed,
        "BatchRequestTooLong"
        | "EntityTooLarge"
        | "PackedPolicyTooLarge"
        | "RequestEntityTooLarge"
        | "RequestTooLarge"
        | "SerializedRequestEntityTooLarge" => Cause::TooLarge,
        "ItemCollectionSizeLimitExceeded" => Cause::ItemCollectionFull,
        "BatchEntryIdsNotDistinct"
        | "EmptyBatchRequest"
        | "EncryptionTypeMismatch"
        | "IdempotentParameterMismatch"
        | "InvalidArgument"
        | "InvalidBatchEntryId"
        | "InvalidGrantToken"
        | "InvalidIdFormat"
        | "InvalidMessageContents"
        | "InvalidParameter"
        | "InvalidParameterValue"
        | "InvalidRequest"
        | "InvalidRequestContent"
        | "InvalidWriteOffset"
        | "MalformedPolicyDocument"
        | "ModeNotSupported"
        | "ReceiptHandleIsInvalid"
        | "Serialization"
        | "TooManyEntriesInBatchRequest"
        | "TooManyParts"
        | "UnsupportedMediaType"
        | "UnsupportedOperation"
        | "Validation"
        | "ValidationError" => Cause::Validation,
        _ => return None,
    })
}

/// What an HTTP status means when the error code is missing or unknown.
pub(crate) fn cause_of_status(status: u16) -> Cause {
    match status {
        401 | 403 => Cause::AccessDenied,
        404 => Cause::NotFound,
        408 => Cause::Timeout,
        412 => Cause::ConditionFailed,
        413 => Cause::TooLarge,
        429 => Cause::Throttled,
        500.. => Cause::Unavailable,
        _ => Cause::Other,
    }
}
