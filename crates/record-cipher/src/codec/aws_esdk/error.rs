//! What failures of the AWS Encryption SDK say.

use std::convert::Infallible;

use ::aws_esdk::com_amazonaws_kms::types::error::Error as KmsFailure;
use ::aws_esdk::material_providers::types::error::Error as MaterialsError;
use ::aws_esdk::types::error::Error;
use esdk_caching_cmm::Error as CmmError;

use crate::error::{CipherError, SetupError};

pub(super) fn encryption_error(error: &Error) -> CipherError {
    let failure = match error {
        Error::AwsCryptographicMaterialProvidersError { error } => kms_failure(error),
        _ => None,
    };
    failure.unwrap_or(CipherError::Internal("aws-esdk could not encrypt"))
}

pub(super) fn decryption_error(error: Error) -> CipherError {
    match error {
        Error::AwsCryptographicMaterialProvidersError { error } => internal_failure(&error)
            .or_else(|| kms_failure(&error))
            .unwrap_or(CipherError::NoUsableKey),
        _ => CipherError::NotAuthentic,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn refused(error: impl ToString) -> SetupError {
    SetupError::AwsEsdk(error.to_string())
}

/// Returns the failure of the caching CMM itself, which says nothing about the message. Its text is
/// all of it that passes through the SDK.
fn internal_failure(error: &MaterialsError) -> Option<CipherError> {
    let MaterialsError::AwsCryptographicMaterialProvidersException { message } = error else {
        return None;
    };
    let texts = [CmmError::<Infallible>::Unfinished, CmmError::SharedPartition];
    let is_internal = texts.iter().any(|error| error.to_string() == *message);
    is_internal.then_some(CipherError::Internal("the call for a data key panicked or was cut off"))
}

/// Returns the failure of KMS among what a keyring reports, if there is one that is not the
/// message's fault.
fn kms_failure(error: &MaterialsError) -> Option<CipherError> {
    match error {
        MaterialsError::TrentServiceError { error } => classify(error),
        MaterialsError::CollectionOfErrors { list, .. } => list.iter().find_map(kms_failure),
        _ => None,
    }
}

/// The SDK keeps the errors in KMS's model. Of all others, such as throttling, missing permission
/// or a broken connection, it keeps only the debug text, which may hold a response's body.
fn classify(error: &KmsFailure) -> Option<CipherError> {
    Some(match error {
        // The message's encrypted data key is not what KMS made.
        KmsFailure::InvalidCiphertextException { .. }
        | KmsFailure::IncorrectKeyException { .. } => return None,
        KmsFailure::DisabledException { .. } => CipherError::AwsEsdkKey("is disabled"),
        KmsFailure::NotFoundException { .. } => CipherError::AwsEsdkKey("does not exist"),
        KmsFailure::KmsInvalidStateException { .. } => {
            CipherError::AwsEsdkKey("is in a state that does not allow its use")
        }
        KmsFailure::InvalidKeyUsageException { .. } => {
            CipherError::AwsEsdkKey("is not for encryption")
        }
        _ => CipherError::AwsEsdkCall,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::error::ErrorKind;

    fn decryption_kind(message: String) -> ErrorKind {
        let error = MaterialsError::AwsCryptographicMaterialProvidersException { message };
        decryption_error(Error::AwsCryptographicMaterialProvidersError { error }).kind()
    }

    #[test]
    fn failures_of_the_cache_never_count_against_a_record() {
        for error in [CmmError::<Infallible>::Unfinished, CmmError::SharedPartition] {
            assert!(error.is_internal());
            assert_eq!(decryption_kind(error.to_string()), ErrorKind::Retryable, "{error}");
        }
        assert_eq!(decryption_kind("Unable to decrypt".to_owned()), ErrorKind::Record);
    }
}
