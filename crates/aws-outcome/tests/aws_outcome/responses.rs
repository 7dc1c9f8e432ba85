use std::time::SystemTime;

use aws_outcome::{Cause, Class, CredentialsProblem};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::harness::{answer, failure_of, json_error, serve};

const HTML: &str = "<!DOCTYPE html>\n<html>SECRET</html>";

#[tokio::test]
async fn a_code_names_the_cause_and_the_message_is_not_shown() {
    let cases = [
        (400, "ProvisionedThroughputExceededException", Cause::Throttled),
        (400, "ResourceNotFoundException", Cause::NotFound),
        (400, "ExpiredTokenException", Cause::ExpiredToken),
        (400, "KMSDisabledException", Cause::Disabled),
        (400, "ValidationException", Cause::Validation),
        (400, "SomethingNewException", Cause::Other),
        (500, "SomethingNewException", Cause::Unavailable),
        (503, "SlowDown", Cause::Throttled),
    ];
    for (status, code, cause) in cases {
        let failure = failure_of(&serve(json_error(status, code, "SECRET", "")).await).await;
        assert_eq!(failure.cause(), cause, "{code}");
        assert_eq!(failure.code(), Some(code));
        assert_eq!(failure.status(), Some(status));
        assert_eq!(failure.to_string(), format!("{cause} ({code})"));
        assert!(!format!("{failure:?}").contains("SECRET"));
    }
}

#[tokio::test]
async fn a_denied_action_is_named_without_the_rest_of_the_message() {
    let message = "User: arn:aws:sts::123456789012:assumed-role/x/SECRET is not authorized to \
                   perform: kinesis:ListStreams on resource: SECRET";
    let server = serve(json_error(400, "AccessDeniedException", message, "")).await;
    let text = failure_of(&server).await.to_string();
    let expected = "access denied: not authorized to perform kinesis:ListStreams";
    assert_eq!(text, format!("{expected} (AccessDeniedException)"));
    for message in ["perform: SECRET", "not authorized to perform: SEC RET", "SECRET", ""] {
        let server = serve(json_error(400, "AccessDeniedException", message, "")).await;
        let text = failure_of(&server).await.to_string();
        assert_eq!(text, "access denied (AccessDeniedException)", "{message}");
    }
}

#[tokio::test]
async fn the_request_id_is_kept() {
    let headers = "x-amzn-requestid: 7d1f\r\n";
    let server = serve(json_error(400, "ValidationException", "", headers)).await;
    assert_eq!(failure_of(&server).await.request_id(), Some("7d1f"));
}

#[tokio::test]
async fn web_pages_are_told_from_answers_of_aws() {
    for status in [200, 302, 400, 403, 404, 407] {
        let failure = failure_of(&serve(answer(status, "text/html", "", HTML)).await).await;
        assert_eq!(failure.cause(), Cause::NotAws, "{status}");
        assert_eq!(failure.status(), Some(status));
        let text = format!("HTTP {status} from something that is not AWS (HTML)");
        assert_eq!(failure.to_string(), text);
    }
}

#[tokio::test]
async fn load_balancers_answer_pages_when_a_service_is_overloaded() {
    let cases = [(502, Cause::Unavailable), (503, Cause::Unavailable), (413, Cause::TooLarge)];
    for (status, cause) in cases {
        let failure = failure_of(&serve(answer(status, "text/html", "", HTML)).await).await;
        assert_eq!((failure.cause(), failure.status()), (cause, Some(status)));
        assert_eq!(failure.to_string(), format!("{cause} (HTTP {status})"));
    }
}

#[tokio::test]
async fn a_status_stands_in_for_a_missing_code() {
    let cases = [
        (403, Cause::AccessDenied),
        (404, Cause::NotFound),
        (408, Cause::Timeout),
        (413, Cause::TooLarge),
        (429, Cause::Throttled),
        (500, Cause::Unavailable),
        (503, Cause::Unavailable),
        (504, Cause::Unavailable),
    ];
    for (status, cause) in cases {
        for (headers, body) in [("", ""), ("x-amzn-requestid: 7d1f\r\n", "{}")] {
            let json = "application/x-amz-json-1.1";
            let failure = failure_of(&serve(answer(status, json, headers, body)).await).await;
            assert_eq!(failure.cause(), cause, "{status} {body}");
            assert_eq!(failure.to_string(), format!("{cause} (HTTP {status})"));
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_early_is_a_broken_connection() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"StreamNames\":";
    let failure = failure_of(&serve(answer).await).await;
    assert_eq!(failure.cause(), Cause::Connection);
    assert_eq!(failure.to_string(), "the connection failed (HTTP 200)");
}

#[tokio::test]
async fn an_answer_in_another_format_is_not_from_aws() {
    for (status, body) in [(200, "SECRET"), (403, "SECRET"), (403, "{}"), (400, "[]")] {
        let answer = answer(status, "application/json", "", body);
        let failure = failure_of(&serve(answer).await).await;
        assert_eq!(failure.cause(), Cause::NotAws, "{status} {body}");
        let text = format!("HTTP {status} from something that is not AWS (unknown format)");
        assert_eq!(failure.to_string(), text);
    }
}

#[tokio::test]
async fn a_rejected_signature_is_the_clocks_fault_if_the_server_has_another_time() {
    for code in ["InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"] {
        for (offset, text) in
            [(-900, "15 min"), (900, "15 min"), (7200, "2 h"), (864_000, "10 days")]
        {
            let message = "Signature expired: SECRET";
            let failure =
                failure_of(&serve(json_error(403, code, message, &date(offset))).await).await;
            assert_eq!(failure.cause(), Cause::ClockSkew, "{code} {offset}");
            assert_eq!(failure.class(), Class::Operator);
            let expected = format!("the clock of this machine is off by about {text} ({code})");
            assert_eq!(failure.to_string(), expected);
        }
    }
}

#[tokio::test]
async fn a_rejected_signature_is_the_keys_fault_if_the_clocks_agree() {
    let message = "The request signature we calculated does not match the signature you provided";
    for offset in [-200, 0, 200] {
        let answer = json_error(403, "InvalidSignatureException", message, &date(offset));
        let failure = failure_of(&serve(answer).await).await;
        assert_eq!(failure.cause(), Cause::Credentials(CredentialsProblem::Rejected), "{offset}");
    }
}

#[tokio::test]
async fn a_request_that_was_frozen_between_signing_and_sending_is_late_not_skewed() {
    for code in ["InvalidSignatureException", "RequestExpired"] {
        let answer = json_error(403, code, "Signature expired: SECRET", &date(0));
        let failure = failure_of(&serve(answer).await).await;
        assert_eq!(failure.cause(), Cause::Timeout, "{code}");
    }
}

/// A `Date` header, so many seconds from now.
fn date(offset: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "the server has a clock of its own")]
    let now = DateTime::from(SystemTime::now());
    let date = DateTime::from_secs(now.secs() + offset).fmt(Format::HttpDate);
    format!("date: {}\r\n", date.expect("the year has four digits"))
}
