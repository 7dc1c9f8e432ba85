//! What a user can do about an AWS error.

use record_pusher::{Cause, DeliveryError};

/// Returns an operator's next step after a stream did not accept a record, for use on a line of its
/// own.
pub(crate) fn next_step(error: &DeliveryError, region: &str) -> Option<String> {
    Some(match error.cause? {
        Cause::NotFound => {
            format!(
                "check --stream, or list streams with `aws kinesis list-streams --region {region}`"
            )
        }
        Cause::AccessDenied => {
            "allow kinesis:PutRecords and kinesis:DescribeStreamSummary on the stream".to_owned()
        }
        Cause::Credentials(_) | Cause::ExpiredToken => {
            "log in again, for example with `aws sso login`, and check with `aws sts \
             get-caller-identity`"
                .to_owned()
        }
        Cause::ClockSkew => "set the clock of this machine, for example with NTP".to_owned(),
        Cause::UnknownCa | Cause::Tls => {
            "set AWS_CA_BUNDLE to the certificates of your proxy or endpoint".to_owned()
        }
        Cause::Disabled | Cause::InvalidState => {
            "check the state of the stream and of its KMS key".to_owned()
        }
        _ => return None,
    })
}
