//! Failures of calls to KMS, and who must act.

use std::fmt;

use aws_outcome::{Cause, Class, Failure};

use crate::error::ErrorKind;
use crate::names::RegionName;

/// Failure of a call to AWS KMS: its cause, with the operation, the Region and the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("AWS KMS in {region}: {operation} with {key} failed: {reason}")]
pub struct KmsError {
    kind: ErrorKind,
    operation: Operation,
    region: RegionName,
    key: String,
    reason: Reason,
}

/// Operation of KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    GenerateDataKey,
    Encrypt,
    Decrypt,
    DescribeKey,
}

/// Origin of the key in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The settings name the key. An answer about it is the operator's matter.
    Settings,
    /// The message names the key, and is not authenticated yet. An answer about it is an answer
    /// about the record: otherwise a forged message could block its shard.
    Message,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    /// The call failed.
    Failed(Failure),
    /// The call succeeded, and KMS's response is unusable.
    Response(&'static str),
}

impl KmsError {
    pub(crate) fn failed(
        operation: Operation,
        named_by: NamedBy,
        region: RegionName,
        key: String,
        failure: Failure,
    ) -> Self {
        let kind = kind(operation, named_by, &failure);
        Self { kind, operation, region, key, reason: Reason::Failed(failure) }
    }

    /// KMS, or something in its place, gave a wrong response.
    pub(crate) fn response(
        kind: ErrorKind,
        operation: Operation,
        region: RegionName,
        key: String,
        reason: &'static str,
    ) -> Self {
        Self { kind, operation, region, key, reason: Reason::Response(reason) }
    }

    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the Region that was called.
    #[must_use]
    pub fn region(&self) -> &RegionName {
        &self.region
    }

    /// Returns the key or alias that was asked for.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the cause, or `None` if KMS's response was unusable.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &self.reason {
            Reason::Failed(failure) => Some(failure),
            Reason::Response(_) => None,
        }
    }

    /// Names the AWS profile in what the error says about credentials.
    #[must_use]
    pub fn with_profile(mut self, profile: &str) -> Self {
        if let Reason::Failed(failure) = self.reason {
            self.reason = Reason::Failed(failure.with_profile(profile));
        }
        self
    }

    /// Returns `true` if the answer proves that the encrypted data key, or the encryption context,
    /// is not what its writer made.
    pub(crate) fn proves_forgery(&self) -> bool {
        match &self.reason {
            Reason::Failed(failure) => is_about_the_ciphertext(self.operation, failure),
            Reason::Response(_) => self.kind == ErrorKind::Record,
        }
    }
}

fn kind(operation: Operation, named_by: NamedBy, failure: &Failure) -> ErrorKind {
    if failure.class() == Class::Retryable {
        ErrorKind::Retryable
    } else if is_about_the_ciphertext(operation, failure)
        || (named_by == NamedBy::Message && is_about_the_key(failure))
    {
        ErrorKind::Record
    } else {
        ErrorKind::Operator
    }
}

/// Returns `true` for answers about the ciphertext and the encryption context of `Decrypt`, which
/// always come from the message.
fn is_about_the_ciphertext(operation: Operation, failure: &Failure) -> bool {
    operation == Operation::Decrypt
        && match failure.cause() {
            Cause::InvalidCiphertext => true,
            // Other codes of this cause are about the request as such, so about this side.
            Cause::Validation => failure.code() == Some("ValidationException"),
            _ => false,
        }
}

fn is_about_the_key(failure: &Failure) -> bool {
    match failure.cause() {
        Cause::NotFound | Cause::AccessDenied | Cause::Disabled | Cause::InvalidState => true,
        // KMS's `InvalidArnException`. The SDK's own configuration errors have no code.
        Cause::Configuration => failure.code().is_some(),
        _ => false,
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GenerateDataKey => "GenerateDataKey",
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::DescribeKey => "DescribeKey",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Response(reason) => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_outcome::Service;

    use super::*;

    use ErrorKind::{Operator, Record, Retryable};

    /// Codes in the models of GenerateDataKey, Encrypt, Decrypt and DescribeKey, and codes that
    /// every service may answer: kind for GenerateDataKey, Encrypt and DescribeKey, for Decrypt
    /// with a key of the settings, and for Decrypt with a key that the message names.
    const VERDICTS: [(&str, ErrorKind, ErrorKind, ErrorKind); 28] = [
        ("AccessDeniedException", Operator, Operator, Record),
        ("DependencyTimeoutException", Retryable, Retryable, Retryable),
        ("DisabledException", Operator, Operator, Record),
        ("DryRunOperationException", Operator, Operator, Operator),
        ("ExpiredTokenException", Operator, Operator, Operator),
        ("IncompleteSignature", Operator, Operator, Operator),
        ("IncorrectKeyException", Operator, Record, Record),
        ("InternalFailure", Retryable, Retryable, Retryable),
        ("InvalidArnException", Operator, Operator, Record),
        ("InvalidCiphertextException", Operator, Record, Record),
        ("InvalidClientTokenId", Operator, Operator, Operator),
        ("InvalidGrantTokenException", Operator, Operator, Operator),
        ("InvalidKeyUsageException", Operator, Operator, Record),
        ("InvalidSignatureException", Operator, Operator, Operator),
        ("KeyUnavailableException", Retryable, Retryable, Retryable),
        ("KMSInternalException", Retryable, Retryable, Retryable),
        ("KMSInvalidStateException", Operator, Operator, Record),
        ("LimitExceededException", Operator, Operator, Operator),
        ("MissingAuthenticationToken", Operator, Operator, Operator),
        ("NotFoundException", Operator, Operator, Record),
        ("RequestExpired", Operator, Operator, Operator),
        ("RequestEntityTooLargeException", Operator, Operator, Operator),
        ("SerializationException", Operator, Operator, Operator),
        ("ServiceUnavailable", Retryable, Retryable, Retryable),
        ("ThrottlingException", Retryable, Retryable, Retryable),
        ("UnrecognizedClientException", Operator, Operator, Operator),
        ("ValidationException", Operator, Record, Record),
        ("SomethingNew", Operator, Operator, Operator),
    ];

    fn error(operation: Operation, named_by: NamedBy, code: &str) -> KmsError {
        let failure = Failure::from_code(Service::Kms, code);
        let region = "eu-west-1".parse().unwrap();
        KmsError::failed(operation, named_by, region, "alias/records".to_owned(), failure)
    }

    #[test]
    fn every_code_of_kms_says_who_must_act() {
        use Operation::{Decrypt, DescribeKey, Encrypt, GenerateDataKey};
        for (code, other_operations, of_settings, of_message) in VERDICTS {
            for operation in [GenerateDataKey, Encrypt, DescribeKey] {
                let error = error(operation, NamedBy::Settings, code);
                assert_eq!(error.kind(), other_operations, "{error}");
                assert!(!error.proves_forgery(), "{error}");
            }
            let error_of = |named_by| error(Decrypt, named_by, code);
            assert_eq!(error_of(NamedBy::Settings).kind(), of_settings, "{code}");
            assert_eq!(error_of(NamedBy::Message).kind(), of_message, "{code}");
            assert_eq!(error_of(NamedBy::Settings).proves_forgery(), of_settings == Record);
            assert_eq!(error_of(NamedBy::Message).proves_forgery(), of_settings == Record);
        }
    }

    #[test]
    fn failures_on_this_side_are_never_the_records() {
        for cause in [
            Cause::Configuration,
            Cause::ClockSkew,
            Cause::UnknownCa,
            Cause::Tls,
            Cause::Dns,
            Cause::Refused,
            Cause::Connection,
            Cause::Timeout,
            Cause::NotAws,
            Cause::Other,
        ] {
            for named_by in [NamedBy::Settings, NamedBy::Message] {
                let kind = kind(Operation::Decrypt, named_by, &Failure::from(cause));
                assert_ne!(kind, Record, "{cause}");
            }
        }
    }

    #[test]
    fn errors_name_operation_key_region_and_cause() {
        let error = error(Operation::Encrypt, NamedBy::Settings, "DisabledException");
        assert_eq!(
            error.to_string(),
            "AWS KMS in eu-west-1: Encrypt with alias/records failed: the key is disabled \
             (DisabledException)"
        );
    }
}
