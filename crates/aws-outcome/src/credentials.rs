use std::error::Error;
use std::io::ErrorKind;

use aws_credential_types::provider::error::CredentialsError;

use crate::cause::{Cause, CredentialsProblem};
use crate::chain::{chain, io_kind, texts};
use crate::code::cause_of;
use crate::service::Service;

/// What is wrong with the credentials, if that is why there is no answer.
pub(crate) fn problem_of(error: &(dyn Error + 'static)) -> Option<CredentialsProblem> {
    let error = chain(error).find_map(|error| error.downcast_ref::<CredentialsError>())?;
    Some(problem(error))
}

/// The providers' own errors have private types, so their texts decide.
fn problem(error: &CredentialsError) -> CredentialsProblem {
    const KNOWN: [(&str, CredentialsProblem); 10] = [
        ("SSO token has expired", CredentialsProblem::SsoExpired),
        ("UnauthorizedException", CredentialsProblem::SsoExpired),
        ("load the cached SSO token", CredentialsProblem::NotLoggedIn),
        ("sso/cache", CredentialsProblem::NotLoggedIn),
        ("external process", CredentialsProblem::ProcessFailed),
        ("ProfileFile provider could not be built", CredentialsProblem::InvalidProfile),
        // The instance metadata is the last source of the default chain.
        ("IMDS", CredentialsProblem::NotFound),
        ("environment variable not set", CredentialsProblem::NotFound),
        ("dispatch failure", CredentialsProblem::Unavailable),
        ("timed out", CredentialsProblem::Unavailable),
    ];
    let texts = texts(error);
    if container_status(&texts).is_some_and(|status| status >= 500 || status == 429) {
        return CredentialsProblem::Unavailable;
    }
    let known = KNOWN.iter().find(|(text, _)| texts.contains(text));
    known.map_or_else(|| by_variant(error, &texts), |(_, problem)| *problem)
}

/// Returns the HTTP status with which a container's endpoint, such as that of ECS or EKS, refused to
/// issue credentials.
fn container_status(texts: &str) -> Option<u16> {
    let (_, status) = texts.split_once("HTTP credential provider: StatusCode(")?;
    status.split_once(')')?.0.parse().ok()
}

fn by_variant(error: &CredentialsError, texts: &str) -> CredentialsProblem {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => CredentialsProblem::NotFound,
        CredentialsError::ProviderTimedOut(_) => CredentialsProblem::Unavailable,
        CredentialsError::InvalidConfiguration(_) => CredentialsProblem::InvalidProfile,
        _ if texts.contains("service error") => answered(texts),
        // Web identity tokens are the only other file whose reading fails.
        _ => match io_kind(error) {
            Some(ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                CredentialsProblem::WebIdentityToken
            }
            _ => CredentialsProblem::Other,
        },
    }
}

/// The service that issues credentials answered an error. Its type is private, but its text has the
/// code, unless there is none: then AWS itself did not answer.
fn answered(texts: &str) -> CredentialsProblem {
    let line = texts.lines().skip_while(|line| *line != "service error").nth(1);
    let line = line.unwrap_or_default();
    let mut words = line.split(|letter: char| !letter.is_ascii_alphanumeric());
    let is_retryable = |code| cause_of(Service::Sts, code).is_some_and(Cause::is_retryable);
    if line == "unhandled error" || words.any(is_retryable) {
        CredentialsProblem::Unavailable
    } else {
        CredentialsProblem::RoleRejected
    }
}
