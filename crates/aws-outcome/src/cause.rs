use std::fmt;

/// Why a request to AWS failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// No usable credentials: none were found, they could not be loaded, or AWS rejects them.
    Credentials(CredentialsProblem),
    /// The temporary credentials have expired. A credentials provider may supply new ones.
    ExpiredToken,
    /// This machine's clock differs so much from AWS's that signatures are rejected. The SDK
    /// corrects the difference itself when it may retry the request.
    ClockSkew,
    /// The SDK's configuration is unusable, for example because no Region is set.
    Configuration,
    /// No root certificate of this machine signed the endpoint's certificate.
    UnknownCa,
    /// The TLS handshake failed for another reason, such as an expired certificate.
    Tls,
    /// The endpoint's host name does not resolve.
    Dns,
    /// Nothing listens at the endpoint.
    Refused,
    /// The connection could not be made, or it broke.
    Connection,
    /// No answer arrived in time.
    Timeout,
    /// The caller exceeds a rate: of the account, the stream, the table or the key.
    Throttled,
    /// The service, or a service that it depends on, failed: HTTP 5xx or an internal failure.
    Unavailable,
    /// The credentials are valid, and a policy does not allow the request.
    AccessDenied,
    /// The KMS key, or the account's access to it, is disabled.
    Disabled,
    /// A resource exists in a state, or is of a kind, that does not allow the request: a KMS key
    /// that is pending deletion, an archived object.
    InvalidState,
    /// The stream, table, key, bucket, parameter or other resource does not exist.
    NotFound,
    /// The resource is being created or updated.
    NotReady,
    /// KMS did not make this ciphertext, or made it under another key or encryption context.
    InvalidCiphertext,
    /// Another transaction works on the same items.
    Conflict,
    /// The condition of a conditional write is not met.
    ConditionFailed,
    /// The service rejects the content of the request.
    Validation,
    /// The request, or an item in it, is too large.
    TooLarge,
    /// The item collection has reached its maximum size (DynamoDB, tables with a local index).
    ItemCollectionFull,
    /// A quota of the account is used up. Waiting does not help.
    LimitExceeded,
    /// The shard iterator or pagination token has expired; a new one is needed.
    ExpiredIterator,
    /// The answer is not AWS's: an HTML page of a proxy, or text that cannot be read.
    NotAws,
    /// Another cause; [`Failure::code`](crate::Failure::code) has AWS's error code.
    Other,
}

/// What is wrong with the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialsProblem {
    /// No source of credentials has any.
    NotFound,
    /// The profile's settings are incomplete or cannot be read.
    InvalidProfile,
    /// Nobody has logged in to the profile's SSO session on this machine.
    NotLoggedIn,
    /// The SSO session has expired.
    SsoExpired,
    /// The profile's `credential_process` failed, or printed something else than credentials.
    ProcessFailed,
    /// The file that holds the web identity token does not exist or cannot be read.
    WebIdentityToken,
    /// AWS rejected the request for the role's credentials.
    RoleRejected,
    /// The service that issues the credentials cannot be reached, or did not answer in time.
    Unavailable,
    /// AWS does not know the access key, or the secret access key does not match it.
    Rejected,
    /// The credentials could not be loaded for another reason.
    Other,
}

/// Who can do something about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The same request may succeed later without anybody's help.
    Retryable,
    /// An operator must act: credentials, permissions, a missing or disabled resource, the clock.
    /// The request itself is good.
    Operator,
    /// The service rejects what was sent, and always will. Other requests are not affected.
    Request,
}

impl Cause {
    /// Who can do something about it. A caller that knows more may decide otherwise.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Credentials(CredentialsProblem::Unavailable)
            | Self::Dns
            | Self::Refused
            | Self::Connection
            | Self::Timeout
            | Self::Throttled
            | Self::Unavailable
            | Self::NotReady
            | Self::Conflict
            | Self::ExpiredIterator
            | Self::NotAws => Class::Retryable,
            Self::InvalidCiphertext
            | Self::ConditionFailed
            | Self::Validation
            | Self::TooLarge
            | Self::ItemCollectionFull => Class::Request,
            Self::Credentials(_)
            | Self::ExpiredToken
            | Self::ClockSkew
            | Self::Configuration
            | Self::UnknownCa
            | Self::Tls
            | Self::AccessDenied
            | Self::Disabled
            | Self::InvalidState
            | Self::NotFound
            | Self::LimitExceeded
            | Self::Other => Class::Operator,
        }
    }

    /// Returns `true` if the same request may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.class() == Class::Retryable
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials(problem) => return problem.fmt(f),
            Self::ExpiredToken => "the security token has expired",
            Self::ClockSkew => "the clock of this machine is off",
            Self::Configuration => "the AWS configuration is not usable",
            Self::UnknownCa => "the endpoint's certificate is not trusted (unknown CA)",
            Self::Tls => "the TLS handshake failed",
            Self::Dns => "the endpoint's host name does not resolve",
            Self::Refused => "connection refused",
            Self::Connection => "the connection failed",
            Self::Timeout => "timed out",
            Self::Throttled => "throttled",
            Self::Unavailable => "the service is unavailable",
            Self::AccessDenied => "access denied",
            Self::Disabled => "the key is disabled",
            Self::InvalidState => "the state of the resource does not allow it",
            Self::NotFound => "it does not exist",
            Self::NotReady => "it is being created or updated",
            Self::InvalidCiphertext => "the ciphertext does not belong to the key and context",
            Self::Conflict => "another transaction is in progress",
            Self::ConditionFailed => "the condition is not met",
            Self::Validation => "the request is not valid",
            Self::TooLarge => "the request is too large",
            Self::ItemCollectionFull => "the item collection is full",
            Self::LimitExceeded => "a quota is used up",
            Self::ExpiredIterator => "the iterator has expired",
            Self::NotAws => "the answer is not from AWS",
            Self::Other => "the request failed",
        })
    }
}

impl fmt::Display for CredentialsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no credentials were found",
            Self::InvalidProfile => "the profile is not usable",
            Self::NotLoggedIn => "not logged in to the SSO session",
            Self::SsoExpired => "the SSO session has expired",
            Self::ProcessFailed => "the credential process failed",
            Self::WebIdentityToken => "the web identity token file is missing or not readable",
            Self::RoleRejected => "AWS did not issue the role's credentials",
            Self::Unavailable => "the credentials provider cannot be reached",
            Self::Rejected => "AWS does not accept the credentials",
            Self::Other => "the credentials could not be loaded",
        })
    }
}
