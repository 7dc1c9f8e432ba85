//! What the failure of a keyring says: whether AWS KMS failed, and how.

use aws_esdk::com_amazonaws_kms::types::error::Error as Kms;
use aws_esdk::material_providers::types::error::Error as MaterialsError;

use crate::error::CipherError;

/// The failure of KMS among what a keyring reports, if there is one that is not the message's
/// fault.
pub(super) fn kms_failure(error: &MaterialsError) -> Option<CipherError> {
    match error {
        MaterialsError::TrentServiceError { error } => classify(error),
        MaterialsError::CollectionOfErrors { list, .. } => list.iter().find_map(kms_failure),
        _ => None,
    }
}

fn classify(error: &Kms) -> Option<CipherError> {
    match error {
        // The message's encrypted data key is not what KMS made.
        Kms::InvalidCiphertextException { .. } | Kms::IncorrectKeyException { .. } => None,
        Kms::DisabledException { .. } => Some(CipherError::KmsRefused("the key is disabled")),
        Kms::NotFoundException { .. } => Some(CipherError::KmsRefused("the key does not exist")),
        Kms::KmsInvalidStateException { .. } => {
            Some(CipherError::KmsRefused("the key's state does not allow it"))
        }
        Kms::InvalidKeyUsageException { .. } => {
            Some(CipherError::KmsRefused("the key is not for encryption"))
        }
        Kms::OpaqueWithText { objMessage, .. } => Some(classify_text(objMessage)),
        _ => Some(CipherError::KmsUnavailable("it reported an internal failure")),
    }
}

/// The SDK hands on throttling, missing permission and trouble on the network only as the debug
/// text of an HTTP exchange. That text may hold a response's body, so it is searched for known
/// words and never shown.
fn classify_text(text: &str) -> CipherError {
    const REFUSED: [(&str, &str); 4] = [
        ("AccessDenied", "access was denied"),
        ("UnrecognizedClient", "the credentials are not valid"),
        ("ExpiredToken", "the credentials have expired"),
        ("CredentialsNotLoaded", "no credentials were found"),
    ];
    const UNAVAILABLE: [(&str, &str); 4] = [
        ("Throttling", "it is throttling requests"),
        ("TimeoutError", "it did not answer in time"),
        ("DispatchFailure", "it could not be reached"),
        ("Unhandled", "it answered with an error"),
    ];
    let find = |words: &[(&str, &'static str)]| {
        words.iter().find(|(word, _)| text.contains(word)).map(|(_, reason)| *reason)
    };
    match (find(&REFUSED), find(&UNAVAILABLE)) {
        (Some(reason), _) => CipherError::KmsRefused(reason),
        (None, reason) => CipherError::KmsUnavailable(reason.unwrap_or("the request failed")),
    }
}
