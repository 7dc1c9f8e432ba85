//! What failures of the AWS Encryption SDK say.

use ::aws_esdk::com_amazonaws_kms::types::error::Error as KmsFailure;
use ::aws_esdk::material_providers::types::error::Error as MaterialsError;
use ::aws_esdk::types::error::Error;

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
        Error::AwsCryptographicMaterialProvidersError { error } => {
            kms_failure(&error).unwrap_or(CipherError::NoUsableKey)
        }
        _ => CipherError::NotAuthentic,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn refused(error: impl ToString) -> SetupError {
    SetupError::AwsEsdk(error.to_string())
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
