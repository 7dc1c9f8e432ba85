//! The encryption context: the stream's name and nothing of the record.

use esdk_caching_cmm::EncryptionContext;

use crate::error::CipherError;
use crate::names::StreamName;

/// Key of the one pair in every record's encryption context. Its value is the name of the stream
/// that the record was encrypted for.
pub const STREAM_CONTEXT_KEY: &str = "stream";

/// Returns the encryption context of the stream's records.
pub(crate) fn context_for(stream: &StreamName) -> EncryptionContext {
    EncryptionContext::from([(STREAM_CONTEXT_KEY.to_owned(), stream.to_string())])
}

/// Checks that `found`, the value of [`STREAM_CONTEXT_KEY`] in a message, names the stream.
pub(crate) fn check_stream(expected: &StreamName, found: Option<&str>) -> Result<(), CipherError> {
    if found == Some(expected.as_str()) {
        return Ok(());
    }
    Err(CipherError::WrongStream {
        expected: expected.clone(),
        found: found.and_then(|name| name.parse().ok()),
    })
}
