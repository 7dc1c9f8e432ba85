use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};

use crate::cause::{Cause, Class, CredentialsProblem};
use crate::chain::{io_kind, texts};
use crate::response::{self, Skew};
use crate::service::Service;
use crate::{code, credentials, transport};

/// What the failure of a request to AWS means.
///
/// Its `Display` is one short line in lower case, such as `throttled (SlowDown)`. It never holds
/// content: messages of AWS may quote items and parameters, so they are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    cause: Cause,
    code: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    /// Replaces the cause's own text.
    detail: Option<String>,
}

impl Failure {
    /// Classifies the error that an SDK client of `service` returned.
    #[must_use]
    pub fn new<E>(service: Service, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "the SDK signed with this clock, too")]
        Self::at(service, error, SystemTime::now())
    }

    /// Classifies an error code: that of an entry in a batch, or a reason why a transaction was
    /// cancelled.
    #[must_use]
    pub fn from_code(service: Service, code: &str) -> Self {
        let cause = code::cause_of(service, code).unwrap_or(Cause::Other);
        Self { code: printable(code), ..Self::from(cause) }
    }

    /// A request that was given up after `limit`, outside the SDK.
    #[must_use]
    pub fn timed_out(limit: Duration) -> Self {
        Self { detail: Some(format!("timed out after {limit:?}")), ..Self::from(Cause::Timeout) }
    }

    /// Names the profile in what is said about missing, expired or unusable credentials.
    #[must_use]
    pub fn with_profile(mut self, profile: &str) -> Self {
        let Cause::Credentials(problem) = self.cause else { return self };
        let detail = match problem {
            CredentialsProblem::NotFound => {
                format!("profile {profile:?} does not exist or has no credentials")
            }
            CredentialsProblem::InvalidProfile => format!("profile {profile:?} is not usable"),
            CredentialsProblem::NotLoggedIn => {
                format!("not logged in to the SSO session for profile {profile:?}")
            }
            CredentialsProblem::SsoExpired => {
                format!("the SSO session for profile {profile:?} has expired")
            }
            CredentialsProblem::ProcessFailed => {
                format!("the credential process of profile {profile:?} failed")
            }
            _ => return self,
        };
        self.detail = Some(detail);
        self
    }

    /// Why the request failed.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Who can do something about it: the cause's [`class`](Cause::class).
    #[must_use]
    pub fn class(&self) -> Class {
        self.cause.class()
    }

    /// Returns `true` if the same request may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.cause.is_retryable()
    }

    /// AWS's error code, such as `ThrottlingException`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// AWS's identifier of the request, which its support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    fn at<E>(service: Service, error: &SdkError<E, HttpResponse>, now: SystemTime) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                Self::answered(service, answer.err().meta(), answer.raw(), now)
            }
            SdkError::ResponseError(answer) => Self::unreadable(error, answer.raw()),
            SdkError::TimeoutError(_) => {
                let texts = texts(error);
                let limit = texts.trim_end().rsplit_once(" occurred after ");
                let detail = limit.map(|(_, limit)| format!("timed out after {limit}"));
                Self { detail, ..Self::from(Cause::Timeout) }
            }
            _ => Self::unanswered(error),
        }
    }

    /// No answer arrived.
    fn unanswered(error: &(dyn Error + 'static)) -> Self {
        if let Some(problem) = credentials::problem_of(error) {
            return Self::from(Cause::Credentials(problem));
        }
        let (cause, detail) = transport::cause_of(error);
        Self { detail: detail.map(str::to_owned), ..Self::from(cause) }
    }

    /// The answer is not in the service's protocol, or is incomplete.
    fn unreadable(error: &(dyn Error + 'static), raw: &HttpResponse) -> Self {
        if io_kind(error).is_some() {
            return Self::from(Cause::Connection).with_response(raw);
        }
        Self::foreign(raw)
    }

    /// The answer comes from something between this machine and AWS. AWS's own front end may answer
    /// pages as well, when it is overloaded or the request is too large.
    fn foreign(raw: &HttpResponse) -> Self {
        let status = raw.status().as_u16();
        let is_page = response::is_html(raw);
        let is_bare_status = !raw.status().is_success() && !is_page && response::may_be_aws(raw);
        let mut failure = Self::from(match code::cause_of_status(status) {
            cause @ (Cause::Unavailable | Cause::TooLarge | Cause::Throttled) => cause,
            cause if is_bare_status => cause,
            _ => Cause::NotAws,
        });
        if failure.cause == Cause::NotAws {
            let kind = if is_page { "HTML" } else { "unknown format" };
            failure.detail = Some(format!("HTTP {status} from something that is not AWS ({kind})"));
        }
        failure.with_response(raw)
    }

    /// The service answered an error.
    fn answered(
        service: Service,
        error: &ErrorMetadata,
        raw: &HttpResponse,
        now: SystemTime,
    ) -> Self {
        let Some(code) = error.code() else { return Self::foreign(raw) };
        let status = raw.status().as_u16();
        let known = code::cause_of(service, code);
        let cause = known.unwrap_or_else(|| code::cause_of_status(status));
        let message = error.message().unwrap_or_default();
        let failure = Self { code: printable(code), ..Self::from(cause) }.with_response(raw);
        match cause {
            Cause::AccessDenied => Self { detail: denied_action(message), ..failure },
            Cause::ClockSkew => failure.with_clock(raw, now, true),
            Cause::Credentials(_) => {
                failure.with_clock(raw, now, message.contains("Signature expired"))
            }
            _ => failure,
        }
    }

    fn with_response(mut self, raw: &HttpResponse) -> Self {
        self.status = Some(raw.status().as_u16());
        self.request_id = response::request_id(raw).and_then(printable);
        self
    }

    /// A rejected signature may be the clock's fault. One that `is_late` by a right clock was on its
    /// way for too long: the process was frozen between signing and sending.
    fn with_clock(mut self, raw: &HttpResponse, now: SystemTime, is_late: bool) -> Self {
        match response::clock_skew(raw, now) {
            Some(Skew::Off(skew)) => {
                self.cause = Cause::ClockSkew;
                self.detail =
                    Some(format!("the clock of this machine is off by about {}", about(skew)));
            }
            Some(Skew::None) if is_late => {
                self.cause = Cause::Timeout;
                self.detail = Some("the request was sent too long after it was signed".to_owned());
            }
            _ => {}
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => f.write_str(detail)?,
            None => self.cause.fmt(f)?,
        }
        match (&self.code, self.status) {
            (Some(code), _) => write!(f, " ({code})"),
            (None, Some(status)) if self.cause != Cause::NotAws => write!(f, " (HTTP {status})"),
            _ => Ok(()),
        }
    }
}

impl Error for Failure {}

/// A failure that no error of the SDK stands for, such as a batch that is left unprocessed.
impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { cause, code: None, status: None, request_id: None, detail: None }
    }
}

/// A code or identifier, unless it is something else that a server put into its place.
fn printable(text: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+/=".contains(&byte);
    (text.len() <= 128 && !text.is_empty() && text.bytes().all(is_allowed)).then(|| text.to_owned())
}

/// Policies name the action that they lack: "User: … is not authorized to perform: kms:Decrypt on …".
fn denied_action(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action = rest.split([' ', ',']).next()?;
    let (service, name) = action.split_once(':')?;
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (is_word(service) && is_word(name) && action.len() <= 64)
        .then(|| format!("access denied: not authorized to perform {action}"))
}

fn about(skew: Duration) -> String {
    let minutes = (skew.as_secs() + 30) / 60;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", (minutes + 30) / 60),
        _ => format!("{} days", (minutes + 720) / 1440),
    }
}
