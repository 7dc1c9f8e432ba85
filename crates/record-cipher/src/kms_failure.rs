//! What the failure of a keyring says: whether AWS KMS failed, and how.

use aws_esdk::com_amazonaws_kms::types::error::Error as Kms;
use aws_esdk::material_providers::types::error::Error as MaterialsError;

use crate::error::{ACCESS_DENIED, CipherError, ErrorKind, KmsError};
use crate::names::RegionName;

/// The failure of KMS among what a keyring reports, if there is one that is not the message's
/// fault.
pub(crate) fn kms_failure(error: &MaterialsError) -> Option<CipherError> {
    find(error, None)
}

/// A collection whose message is a Region's name is what [`Regions`](crate::regions::Regions)
/// makes of an error in that Region.
fn find(error: &MaterialsError, region: Option<RegionName>) -> Option<CipherError> {
    match error {
        MaterialsError::TrentServiceError { error } => {
            classify(error).map(|failure| failure.in_region(region))
        }
        MaterialsError::CollectionOfErrors { list, message } => {
            let region = message.parse().ok().or(region);
            list.iter().find_map(|error| find(error, region.clone()))
        }
        _ => None,
    }
}

/// How KMS failed.
enum Failure {
    Refused(&'static str),
    Unavailable(&'static str),
}

impl Failure {
    fn in_region(self, region: Option<RegionName>) -> CipherError {
        let (kind, reason) = match self {
            Self::Refused(reason) => (ErrorKind::Operator, reason),
            Self::Unavailable(reason) => (ErrorKind::Retryable, reason),
        };
        KmsError { kind, region, reason }.into()
    }
}

fn classify(error: &Kms) -> Option<Failure> {
    match error {
        // The message's encrypted data key is not what KMS made.
        Kms::InvalidCiphertextException { .. } | Kms::IncorrectKeyException { .. } => None,
        Kms::DisabledException { .. } => Some(Failure::Refused("the key is disabled")),
        Kms::NotFoundException { .. } => Some(Failure::Refused("the key does not exist")),
        Kms::KmsInvalidStateException { .. } => {
            Some(Failure::Refused("the key's state does not allow it"))
        }
        Kms::InvalidKeyUsageException { .. } => {
            Some(Failure::Refused("the key is not for encryption"))
        }
        Kms::OpaqueWithText { objMessage, .. } => Some(classify_text(objMessage)),
        _ => Some(Failure::Unavailable("it reported an internal failure")),
    }
}

/// The SDK hands on throttling, missing permission and trouble on the network only as the debug
/// text of an HTTP exchange. That text may hold a response's body, so it is searched for known
/// words and never shown.
fn classify_text(text: &str) -> Failure {
    const REFUSED: [(&str, &str); 4] = [
        ("AccessDenied", ACCESS_DENIED),
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
        (Some(reason), _) => Failure::Refused(reason),
        (None, reason) => Failure::Unavailable(reason.unwrap_or("the request failed")),
    }
}
