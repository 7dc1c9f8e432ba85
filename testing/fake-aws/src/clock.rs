//! The server's clock, and the check that a request was signed at about its time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use crate::answer::ServiceError;
use crate::call::header;
use crate::operation::Service;

/// Difference between the clocks of client and server that most services accept.
const ACCEPTED_SKEW: Duration = Duration::from_mins(5);
/// Difference that S3 accepts.
const ACCEPTED_SKEW_OF_S3: Duration = Duration::from_mins(15);

/// A clock that may be off.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Seconds by which it is ahead of this machine's clock.
    skew: AtomicI64,
}

impl Clock {
    pub(crate) fn skew(&self, seconds: i64) {
        self.skew.store(seconds, Ordering::Relaxed);
    }

    /// Refuses a request whose time of signing is too far from the server's. Signatures themselves
    /// are not checked, so a request without a time passes.
    pub(crate) fn check(&self, head: &Parts, service: Service) -> Result<(), ServiceError> {
        let Some(signed) = header(head, "x-amz-date").and_then(parse_basic) else { return Ok(()) };
        let now = self.now();
        let skew = now.duration_since(signed).unwrap_or_else(|error| error.duration());
        match service {
            Service::S3 if skew > ACCEPTED_SKEW_OF_S3 => Err(too_skewed()),
            Service::S3 => Ok(()),
            _ if skew > ACCEPTED_SKEW => Err(invalid_signature(service, signed, now)),
            _ => Ok(()),
        }
    }

    /// Returns the value of the header `date`.
    pub(crate) fn date(&self) -> HeaderValue {
        HeaderValue::try_from(httpdate::fmt_http_date(self.now())).expect("dates are ASCII")
    }

    #[expect(clippy::disallowed_methods, reason = "requests have wall-clock times")]
    fn now(&self) -> SystemTime {
        let seconds = self.skew.load(Ordering::Relaxed);
        let skew = Duration::from_secs(seconds.unsigned_abs());
        let now = SystemTime::now();
        if seconds < 0 { now - skew } else { now + skew }
    }
}

fn too_skewed() -> ServiceError {
    let message = "The difference between the request time and the current time is too large.";
    ServiceError::new(403, "RequestTimeTooSkewed", message)
}

fn invalid_signature(service: Service, signed: SystemTime, now: SystemTime) -> ServiceError {
    let status = if service == Service::Lambda { 403 } else { 400 };
    let [signed_text, now_text] = [signed, now].map(basic);
    let message = if signed < now {
        let oldest = basic(now - ACCEPTED_SKEW);
        format!(
            "Signature expired: {signed_text} is now earlier than {oldest} ({now_text} - 5 min.)"
        )
    } else {
        let newest = basic(now + ACCEPTED_SKEW);
        format!(
            "Signature not yet current: {signed_text} is still later than {newest} \
             ({now_text} + 5 min.)"
        )
    };
    ServiceError::new(status, "InvalidSignatureException", message)
}

/// Writes a time as signatures do: `20260131T120000Z`.
fn basic(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().replace(['-', ':'], "")
}

fn parse_basic(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once('T')?;
    let part = |text: &str, range: std::ops::Range<usize>| text.get(range).map(str::to_owned);
    let (year, month, day) = (part(date, 0..4)?, part(date, 4..6)?, part(date, 6..8)?);
    let (hour, minute, rest) = (part(time, 0..2)?, part(time, 2..4)?, time.get(4..)?);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{rest}")).ok()
}
