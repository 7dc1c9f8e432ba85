//! From a Kinesis record to lines of JSON.

use std::time::Duration;

use aws_outcome::Pauses;
use aws_smithy_types::date_time::Format;
use esdk_message::{Limits, UnverifiedMessage};
use record_cipher::aggregate::{InvalidMember, InvalidPlaintext, parse_plaintext};
use record_cipher::{CipherError, CmmStats, ErrorKind, RecordCipher, StreamName};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::stream::kinesis::Record;
use crate::tail::printer::Lines;

/// Attempts to decrypt a record while KMS fails. The AWS SDK makes three calls in each.
const ATTEMPTS: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(4);

/// Decrypts records of one stream.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) cipher: RecordCipher,
    pub(crate) stream: StreamName,
    pub(crate) with_metadata: bool,
}

/// Why a record cannot be printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error(transparent)]
    Cipher(#[from] CipherError),
    #[error(transparent)]
    Plaintext(#[from] InvalidPlaintext),
    #[error(transparent)]
    Member(#[from] InvalidMember),
}

impl Decoder {
    /// Returns a line for each object in a record of a shard. Reports the first failure that is retried
    /// to `waiting`.
    pub(crate) async fn lines(
        &self,
        shard: &str,
        record: &Record,
        waiting: impl Fn(&CipherError),
    ) -> Result<Lines, DecodeError> {
        let plaintext = self.decrypt(&record.data, waiting).await?;
        let objects = objects(&plaintext)?.into_iter();
        Ok(objects.map(|object| self.line(shard, record, object)).collect())
    }

    pub(crate) fn data_key_stats(&self) -> CmmStats {
        self.cipher.stats().data_keys
    }

    async fn decrypt(
        &self,
        message: &[u8],
        waiting: impl Fn(&CipherError),
    ) -> Result<Vec<u8>, CipherError> {
        let mut pauses = Pauses::new(FIRST_PAUSE, MAX_PAUSE);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match self.cipher.decrypt(&self.stream, message.to_vec()).await {
                Err(error) if error.kind() == ErrorKind::Retryable && attempts < ATTEMPTS => error,
                result => return result,
            };
            if attempts == 1 {
                waiting(&error);
            }
            sleep(pauses.next_pause()).await;
        }
    }

    fn line(&self, shard: &str, record: &Record, object: &RawValue) -> String {
        if !self.with_metadata {
            return one_line(object.get());
        }
        let arrival = record.arrival.and_then(|time| time.fmt(Format::DateTime).ok());
        let wrapped = WithMetadata {
            shard_id: shard,
            sequence_number: &record.sequence_number,
            approximate_arrival_time: arrival,
            partition_key: &record.partition_key,
            record: object,
        };
        let text = serde_json::to_string(&wrapped);
        one_line(&text.expect("texts and JSON can be written as JSON"))
    }
}

/// Returns the names of the KMS keys under which a message claims to be encrypted.
pub(crate) fn claimed_keys(message: &[u8]) -> Vec<String> {
    let Ok(message) = UnverifiedMessage::parse(message, Limits::default()) else {
        return Vec::new();
    };
    let keys = message.encrypted_data_keys();
    // Escaped, because anybody who may write to the stream can choose the text.
    keys.map(|key| key.provider_info.escape_ascii().to_string()).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithMetadata<'a> {
    shard_id: &'a str,
    sequence_number: &'a str,
    approximate_arrival_time: Option<String>,
    partition_key: &'a str,
    record: &'a RawValue,
}

/// Returns the objects of a plaintext, with every digit and in their order.
fn objects(plaintext: &[u8]) -> Result<Vec<&RawValue>, DecodeError> {
    parse_plaintext(plaintext)?.into_iter().map(|member| Ok(member?.json)).collect()
}

/// Returns the same JSON as one line that no terminal takes for a command.
///
/// Valid JSON has line breaks only between its tokens. Of the control characters that terminals obey,
/// its strings can hold only those from U+007F to U+009F.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        match character {
            '\n' | '\r' => {}
            '\u{7f}'..='\u{9f}' => line += &format!("\\u{:04x}", u32::from(character)),
            character => line.push(character),
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(plaintext: &str) -> Result<Vec<String>, String> {
        let objects = objects(plaintext.as_bytes()).map_err(|error| error.to_string())?;
        Ok(objects.iter().map(|object| one_line(object.get())).collect())
    }

    #[test]
    fn an_object_is_one_line_and_a_list_is_several() {
        assert_eq!(texts(r#"{"b":1,"a":2}"#).unwrap(), ["{\"b\":1,\"a\":2}\n"]);
        assert_eq!(texts(r#" [{"a":1}, {"a":2}] "#).unwrap(), ["{\"a\":1}\n", "{\"a\":2}\n"]);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"n":12345678901234567890.1234567890123456789}"#;
        assert_eq!(texts(text).unwrap(), [format!("{text}\n")]);
    }

    #[test]
    fn json_of_several_lines_becomes_one() {
        let pretty = "{\r\n  \"text\": \"a\\nb\",\n  \"list\": [\n1\n]\n}\n";
        assert_eq!(texts(pretty).unwrap(), ["{  \"text\": \"a\\nb\",  \"list\": [1]}\n"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let object = "{\"é\u{9b}31m\":\"\u{7f}\"}";
        let line = &texts(object).unwrap()[0];
        assert_eq!(line, "{\"é\\u009b31m\":\"\\u007f\"}\n");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(line), value(object));
        assert!(texts("{\"\u{1b}[31m\":1}").unwrap_err().contains("not valid JSON"));
    }

    #[test]
    fn what_holds_no_record_is_refused_without_its_content() {
        for (plaintext, reason) in [
            ("secret", "the plaintext is not valid JSON (line 1, column 1)"),
            ("", "the plaintext is not valid JSON (line 1, column 0)"),
            ("{}{}", "the plaintext is not valid JSON (line 1, column 3)"),
            ("\"secret\"", "the plaintext is neither a JSON object nor an array of JSON objects"),
            ("[]", "the plaintext is neither a JSON object nor an array of JSON objects"),
            (r#"[{},"secret"]"#, "element [1] of the aggregate is not a JSON object"),
        ] {
            assert_eq!(texts(plaintext).unwrap_err(), reason, "{plaintext}");
        }
    }
}
