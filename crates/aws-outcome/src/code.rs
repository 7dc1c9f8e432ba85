use crate::cause::{Cause, CredentialsProblem};
use crate::service::Service;

/// What an error code means, whatever the HTTP status. `None` if the code is unknown.
///
/// Codes mean the same in all services but for one, so the table is one for all of them. It holds
/// the codes that the services' models name, those that every service may answer
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html>), and those of
/// single entries of a batch or transaction.
pub(crate) fn cause_of(service: Service, code: &str) -> Option<Cause> {
    if code == "LimitExceededException" {
        return Some(match service {
            // A rate of calls, or the number of tables that change at the same time.
            Service::DynamoDb | Service::Kinesis => Cause::Throttled,
            _ => Cause::LimitExceeded,
        });
    }
    throttling(code)
        .or_else(|| about_credentials(code))
        .or_else(|| about_the_service(code))
        .or_else(|| about_the_resource(code))
        .or_else(|| about_the_request(code))
}

fn throttling(code: &str) -> Option<Cause> {
    matches!(
        code,
        "BandwidthLimitExceeded"
            | "EC2ThrottledException"
            | "KMSThrottlingException"
            | "KmsThrottled"
            | "PriorRequestNotComplete"
            | "ProvisionedThroughputExceeded"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "Throttling"
            | "ThrottlingError"
            | "ThrottledException"
            | "ThrottlingException"
            | "TooManyRequestsException"
    )
    .then_some(Cause::Throttled)
}

fn about_credentials(code: &str) -> Option<Cause> {
    Some(match code {
        "AuthFailure"
        | "IDPRejectedClaim"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidIdentityToken"
        | "InvalidSecurity"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "MissingSecurityHeader"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Cause::Credentials(CredentialsProblem::Rejected),
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Cause::ExpiredToken,
        "RequestExpired" | "RequestInTheFuture" | "RequestTimeTooSkewed" => Cause::ClockSkew,
        "AccessDenied"
        | "AccessDeniedException"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "EC2AccessDeniedException"
        | "KMSAccessDeniedException"
        | "KMSOptInRequired"
        | "KmsAccessDenied"
        | "KmsOptInRequired"
        | "NotAuthorized"
        | "OptInRequired"
        | "RegionDisabledException"
        | "UnauthorizedOperation" => Cause::AccessDenied,
        _ => return None,
    })
}

fn about_the_service(code: &str) -> Option<Cause> {
    Some(match code {
        "DependencyTimeoutException"
        | "EC2UnexpectedException"
        | "EFSIOException"
        | "EFSMountConnectivityException"
        | "EFSMountTimeoutException"
        | "IDPCommunicationError"
        | "IDPCommunicationErrorException"
        | "InternalError"
        | "InternalFailure"
        | "InternalFailureException"
        | "InternalServerError"
        | "InternalServiceError"
        | "InternalServiceException"
        | "KMSInternalException"
        | "KeyUnavailableException"
        | "S3FilesMountConnectivityException"
        | "S3FilesMountTimeoutException"
        | "ServiceException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "SnapStartException"
        | "SnapStartTimeoutException" => Cause::Unavailable,
        "RequestTimeout" | "RequestTimeoutException" => Cause::Timeout,
        "ExpiredIteratorException" | "ExpiredNextTokenException" => Cause::ExpiredIterator,
        "ReplicatedWriteConflictException"
        | "TransactionConflict"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "TransactionCanceledException" => Cause::Conflict,
        _ => return None,
    })
}

fn about_the_resource(code: &str) -> Option<Cause> {
    Some(match code {
        "AWS.SimpleQueueService.NonExistentQueue"
        | "KMSNotFoundException"
        | "KmsNotFound"
        | "NoPublishedVersionException"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "NoSuchVersion"
        | "NotFound"
        | "NotFoundException"
        | "ParameterNotFound"
        | "ParameterVersionNotFound"
        | "QueueDoesNotExist"
        | "ResourceNotFoundException" => Cause::NotFound,
        "ENINotReadyException"
        | "ResourceConflictException"
        | "ResourceInUseException"
        | "ResourceNotReadyException"
        | "SnapStartNotReadyException"
        | "SnapStartRegenerationFailureException" => Cause::NotReady,
        "DisabledException" | "KMSDisabledException" | "KmsDisabled" => Cause::Disabled,
        "InvalidKeyUsageException"
        | "InvalidObjectState"
        | "KMSInvalidStateException"
        | "KmsInvalidKeyUsage"
        | "KmsInvalidState" => Cause::InvalidState,
        "ENILimitReachedException"
        | "OverLimit"
        | "ServiceQuotaExceededException"
        | "SubnetIPAddressLimitReachedException"
        | "TooManyParts" => Cause::LimitExceeded,
        "InvalidArnException" | "InvalidAddress" => Cause::Configuration,
        _ => return None,
    })
}

fn about_the_request(code: &str) -> Option<Cause> {
    Some(match code {
        "IncorrectKeyException" | "InvalidCiphertextException" => Cause::InvalidCiphertext,
        "ConditionalCheckFailed" | "ConditionalCheckFailedException" | "PreconditionFailed" => {
            Cause::ConditionFailed
        }
        "BatchRequestTooLong"
        | "EntityTooLarge"
        | "PackedPolicyTooLarge"
        | "RequestEntityTooLarge"
        | "RequestEntityTooLargeException"
        | "RequestTooLargeException"
        | "SerializedRequestEntityTooLargeException" => Cause::TooLarge,
        "ItemCollectionSizeLimitExceeded" | "ItemCollectionSizeLimitExceededException" => {
            Cause::ItemCollectionFull
        }
        "BatchEntryIdsNotDistinct"
        | "EmptyBatchRequest"
        | "IdempotentParameterMismatchException"
        | "InvalidArgumentException"
        | "InvalidBatchEntryId"
        | "InvalidGrantTokenException"
        | "InvalidIdFormat"
        | "InvalidMessageContents"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "InvalidParameterValueException"
        | "InvalidRequest"
        | "InvalidRequestContentException"
        | "InvalidRequestException"
        | "InvalidWriteOffset"
        | "MalformedPolicyDocument"
        | "ReceiptHandleIsInvalid"
        | "SerializationException"
        | "TooManyEntriesInBatchRequest"
        | "UnsupportedMediaTypeException"
        | "ValidationError"
        | "ValidationException" => Cause::Validation,
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
