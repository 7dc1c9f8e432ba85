use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// AWS accepts signatures from clocks that are up to five minutes off. A server's own clock and
/// the way to it take some of that.
const ACCEPTED_SKEW: Duration = Duration::from_secs(4 * 60);

/// Returns `true` if a web page was answered, which no AWS API does below HTTP 500.
pub(crate) fn is_html(response: &HttpResponse) -> bool {
    let is_declared = response.headers().get("content-type").is_some_and(|t| t.contains("html"));
    let start = response.body().bytes().unwrap_or_default().trim_ascii_start();
    let start = start[..start.len().min(14)].to_ascii_lowercase();
    is_declared || start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
}

/// Returns `true` if an answer without an error code may still be AWS's: those carry an identifier,
/// and answers to `HEAD` have no body.
pub(crate) fn may_be_aws(response: &HttpResponse) -> bool {
    request_id(response).is_some() || response.body().bytes().is_some_and(<[u8]>::is_empty)
}

/// AWS's identifier of the request, which its support asks for.
pub(crate) fn request_id(response: &HttpResponse) -> Option<&str> {
    let names = ["x-amzn-requestid", "x-amz-request-id"];
    names.iter().find_map(|name| response.headers().get(*name))
}

/// This machine's clock beside the server's.
pub(crate) enum Skew {
    /// Not far enough to reject a signature.
    None,
    /// So far, in either direction.
    Off(Duration),
}

/// Compares `now` with the answer's date. `None` if the answer has none.
pub(crate) fn clock_skew(response: &HttpResponse, now: SystemTime) -> Option<Skew> {
    let date = DateTime::from_str(response.headers().get("date")?, Format::HttpDate).ok()?;
    let server = SystemTime::try_from(date).ok()?;
    let skew = now.duration_since(server).unwrap_or_else(|error| error.duration());
    Some(if skew > ACCEPTED_SKEW { Skew::Off(skew) } else { Skew::None })
}
