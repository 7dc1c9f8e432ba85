//! What a user can do about a failure of AWS.

use std::env;

use aws_outcome::{Cause, Class, CredentialsProblem, Failure};

use crate::exit_code::ExitCode;

/// Names the profile in use in what the error says about credentials. `name` does so for its type.
pub(crate) fn with_profile<E>(error: E, name: impl FnOnce(E, &str) -> E) -> E {
    match env::var("AWS_PROFILE") {
        Ok(profile) if !profile.is_empty() => name(error, &profile),
        _ => error,
    }
}

/// Returns the exit code of a command that the failure ends.
pub(crate) fn exit_code(failure: &Failure) -> ExitCode {
    match failure.class() {
        Class::Retryable => ExitCode::Incomplete,
        Class::Operator | Class::Request => ExitCode::Operator,
    }
}

/// Returns what to do about causes that do not depend on the request: credentials, clock, network.
pub(crate) fn next_step(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Credentials(problem) => return for_credentials(problem),
        Cause::ExpiredToken => "get new temporary credentials and try again",
        Cause::ClockSkew => "correct the clock of this machine and try again",
        Cause::UnknownCa => "set AWS_CA_BUNDLE to the certificates of your network's proxy",
        Cause::Dns | Cause::Refused | Cause::Connection | Cause::Timeout => {
            "check the network, the proxy settings and AWS_ENDPOINT_URL"
        }
        Cause::NotAws => "check the proxy settings and AWS_ENDPOINT_URL",
        _ => return None,
    })
}

/// Returns the error of a stream that did not accept a record, and the next step.
pub(crate) fn stream_error(
    stream: &str,
    region: &str,
    error: &str,
    cause: Option<Cause>,
) -> (String, Option<String>) {
    match cause {
        Some(Cause::NotFound) => (
            format!("stream {stream:?} does not exist in {region}"),
            Some(format!(
                "check --stream, or list streams with `aws kinesis list-streams --region {region}`"
            )),
        ),
        Some(Cause::AccessDenied) => (
            format!("stream {stream:?} in {region}: {error}"),
            Some(
                "allow kinesis:PutRecords and kinesis:DescribeStreamSummary on the stream"
                    .to_owned(),
            ),
        ),
        cause => (
            format!("stream {stream:?} in {region}: {error}"),
            cause.and_then(next_step).map(str::to_owned),
        ),
    }
}

/// Returns what to do after AWS KMS did not encrypt a record.
pub(crate) fn encryption_next_step(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::NotFound => Some("check --kms-key: the key or alias must exist in every Region"),
        Cause::AccessDenied => Some("allow kms:GenerateDataKey and kms:Encrypt on the key"),
        cause => next_step(cause),
    }
}

fn for_credentials(problem: CredentialsProblem) -> Option<&'static str> {
    Some(match problem {
        CredentialsProblem::NotFound => {
            "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as for the AWS CLI"
        }
        CredentialsProblem::NotLoggedIn | CredentialsProblem::SsoExpired => {
            "run `aws sso login` for this profile and try again"
        }
        CredentialsProblem::Rejected => "check the access key with `aws sts get-caller-identity`",
        CredentialsProblem::InvalidProfile
        | CredentialsProblem::ProcessFailed
        | CredentialsProblem::WebIdentityToken
        | CredentialsProblem::RoleRejected => {
            "check the profile with `aws sts get-caller-identity`"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_act_decides_the_exit_code() {
        for (cause, expected) in [
            (Cause::Credentials(CredentialsProblem::SsoExpired), ExitCode::Operator),
            (Cause::AccessDenied, ExitCode::Operator),
            (Cause::NotFound, ExitCode::Operator),
            (Cause::ClockSkew, ExitCode::Operator),
            (Cause::Validation, ExitCode::Operator),
            (Cause::Throttled, ExitCode::Incomplete),
            (Cause::Refused, ExitCode::Incomplete),
        ] {
            assert_eq!(exit_code(&Failure::from(cause)), expected, "{cause}");
        }
    }
}
