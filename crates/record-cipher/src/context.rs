//! The encryption context: the stream's name and nothing of the record.

use esdk_caching_cmm::EncryptionContext;

use crate::error::CipherError;
use crate::names::StreamName;

/// Key of the one pair in every record's encryption context. Its value is the name of the stream
/// that the record was encrypted for.
pub const STREAM_CONTEXT_KEY: &str = "stream";

/// Stream that the encryption context of a record names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextStream {
    /// A stream, by its name.
    Name(StreamName),
    /// A stream, by its ARN instead of its name.
    Arn(StreamName),
    /// A value that is neither the name nor the ARN of a stream.
    Invalid,
    /// No pair with the key [`STREAM_CONTEXT_KEY`].
    Missing,
}

impl ContextStream {
    fn of(value: Option<&str>) -> Self {
        let Some(value) = value else { return Self::Missing };
        let by_name = value.parse().map(Self::Name);
        by_name.or_else(|_| StreamName::from_arn(value).map(Self::Arn)).unwrap_or(Self::Invalid)
    }

    /// Returns why a record with this context is not one of the `expected` stream.
    pub(crate) fn mismatch(&self, expected: &StreamName) -> String {
        match self {
            Self::Name(found) => {
                format!("the record was encrypted for stream {found}, not for stream {expected}")
            }
            Self::Arn(found) if found == expected => format!(
                "the encryption context names the stream by its ARN; the producer must set \
                 {STREAM_CONTEXT_KEY}={expected}"
            ),
            Self::Arn(found) => format!(
                "the record was encrypted for stream {found}, by its ARN, not for stream {expected}"
            ),
            Self::Invalid => format!(
                "the value of '{STREAM_CONTEXT_KEY}' in the encryption context is not a stream name; \
                 the producer must set {STREAM_CONTEXT_KEY}={expected}"
            ),
            Self::Missing => format!(
                "the encryption context has no pair '{STREAM_CONTEXT_KEY}'; the producer must set \
                 {STREAM_CONTEXT_KEY}={expected}"
            ),
        }
    }
}

/// Returns the encryption context of the stream's records.
pub(crate) fn context_for(stream: &StreamName) -> EncryptionContext {
    EncryptionContext::from([(STREAM_CONTEXT_KEY.to_owned(), stream.to_string())])
}

/// Checks that `found`, the value of [`STREAM_CONTEXT_KEY`] in a message, names the stream.
pub(crate) fn check_stream(expected: &StreamName, found: Option<&str>) -> Result<(), CipherError> {
    if found == Some(expected.as_str()) {
        return Ok(());
    }
    Err(CipherError::WrongStream { expected: expected.clone(), found: ContextStream::of(found) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_about_the_stream_has_a_reason_of_its_own() {
        let arn = "arn:aws:kinesis:eu-west-1:000000000000:stream";
        let records = "records".parse().unwrap();
        for (found, reason) in [
            (Some("other"), "the record was encrypted for stream other, not for stream records"),
            (
                Some(&*format!("{arn}/records")),
                "the encryption context names the stream by its ARN; the producer must set \
                 stream=records",
            ),
            (
                Some(&*format!("{arn}/other")),
                "the record was encrypted for stream other, by its ARN, not for stream records",
            ),
            (
                Some("a record's content"),
                "the value of 'stream' in the encryption context is not a stream name; the producer \
                 must set stream=records",
            ),
            (
                None,
                "the encryption context has no pair 'stream'; the producer must set stream=records",
            ),
        ] {
            assert_eq!(check_stream(&records, found).unwrap_err().to_string(), reason);
        }
        assert_eq!(check_stream(&records, Some("records")), Ok(()));
    }
}
