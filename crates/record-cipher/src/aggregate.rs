//! The plaintext of a message: one record, or an aggregate of several.
//!
//! A JSON object is one record. A JSON array of objects is an aggregate: Kinesis bills a record in
//! units of 25 KB, and each message costs a key derivation and perhaps a signature, so small
//! records are cheaper together.

use std::fmt;

use serde_json::value::RawValue;

use crate::record::Record;

/// Maximum number of records in an aggregate.
pub const MAX_AGGREGATE_RECORDS: usize = 500;

/// Maximum length of an aggregate, in bytes of JSON. It leaves capacity for the message around it
/// in a Kinesis record of 1 MiB, which every stream accepts.
pub const MAX_AGGREGATE_BYTES: usize = 1_000_000;

/// Records that share a message.
pub struct Aggregate {
    /// The record's JSON or, from the second record on, an array without its closing bracket.
    json: Vec<u8>,
    records: usize,
    max_bytes: usize,
}

impl Aggregate {
    /// Starts an aggregate with its first record, whatever the record's length.
    ///
    /// `max_bytes` limits the array that further records would form. Values above
    /// [`MAX_AGGREGATE_BYTES`] count as that limit; zero keeps the record alone.
    #[must_use]
    pub fn new(first: Record, max_bytes: usize) -> Self {
        let max_bytes = max_bytes.min(MAX_AGGREGATE_BYTES);
        Self { json: first.into_json(), records: 1, max_bytes }
    }

    /// Appends a record.
    ///
    /// # Errors
    /// Returns the record if the aggregate has no capacity for it.
    pub fn try_push(&mut self, record: Record) -> Result<(), Record> {
        if !self.has_capacity(record.json_len()) {
            return Err(record);
        }
        if self.records == 1 {
            self.json.insert(0, b'[');
        }
        self.json.push(b',');
        self.json.extend(record.into_json());
        self.records += 1;
        Ok(())
    }

    fn has_capacity(&self, bytes: usize) -> bool {
        let brackets = if self.records == 1 { "[,]".len() } else { ",]".len() };
        self.records < MAX_AGGREGATE_RECORDS && self.json.len() + bytes + brackets <= self.max_bytes
    }

    /// Returns the plaintext to encrypt.
    #[must_use]
    pub fn into_plaintext(mut self) -> Vec<u8> {
        if self.records > 1 {
            self.json.push(b']');
        }
        self.json
    }
}

impl fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregate")
            .field("records", &self.records)
            .field("bytes", &self.json.len())
            .finish_non_exhaustive()
    }
}

/// A record of a plaintext.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// Index in the aggregate, from 0; `None` if the plaintext is one record.
    pub index: Option<usize>,
    /// The record's JSON object, as it was written.
    pub json: &'a RawValue,
}

impl fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("index", &self.index)
            .field("bytes", &self.json.get().len())
            .finish_non_exhaustive()
    }
}

/// Reads the records of a plaintext, in order. A bad member does not affect its neighbours.
///
/// # Errors
/// The plaintext as a whole is not JSON, not an object or array, or an empty array.
pub fn parse_plaintext(
    plaintext: &[u8],
) -> Result<Vec<Result<Member<'_>, InvalidMember>>, InvalidPlaintext> {
    let json: &RawValue = serde_json::from_slice(plaintext)?;
    match json.get().as_bytes().first() {
        Some(b'{') => Ok(vec![Ok(Member { index: None, json })]),
        Some(b'[') => members(json),
        _ => Err(InvalidPlaintext::NotRecords),
    }
}

fn members(array: &RawValue) -> Result<Vec<Result<Member<'_>, InvalidMember>>, InvalidPlaintext> {
    let elements: Vec<&RawValue> = serde_json::from_str(array.get())?;
    if elements.is_empty() {
        return Err(InvalidPlaintext::NotRecords);
    }
    Ok(elements.into_iter().enumerate().map(|(index, json)| member(index, json)).collect())
}

fn member(index: usize, json: &RawValue) -> Result<Member<'_>, InvalidMember> {
    match json.get().starts_with('{') {
        true => Ok(Member { index: Some(index), json }),
        false => Err(InvalidMember { index }),
    }
}

/// A plaintext that holds no records. Names no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPlaintext {
    /// The plaintext is not JSON.
    #[error("the plaintext is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the plaintext, from 1.
        line: usize,
        /// Column of the line.
        column: usize,
    },
    /// The plaintext is JSON, but neither an object nor an array with members.
    #[error("the plaintext is neither a JSON object nor an array of JSON objects")]
    NotRecords,
}

impl From<serde_json::Error> for InvalidPlaintext {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson { line: error.line(), column: error.column() }
    }
}

/// A member of an aggregate that is not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("element [{index}] of the aggregate is not a JSON object")]
pub struct InvalidMember {
    /// Index in the aggregate, from 0.
    pub index: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Record {
        Record::from_json(json.as_bytes()).unwrap()
    }

    fn record_of(bytes: usize) -> Record {
        record(&format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - r#"{"a":""}"#.len())))
    }

    fn texts(plaintext: &str) -> Vec<Result<(Option<usize>, &str), InvalidMember>> {
        let members = parse_plaintext(plaintext.as_bytes()).unwrap();
        members.into_iter().map(|member| member.map(|m| (m.index, m.json.get()))).collect()
    }

    #[test]
    fn one_record_stays_an_object() {
        let plaintext = Aggregate::new(record(r#"{"a":1}"#), 0).into_plaintext();
        assert_eq!(plaintext, br#"{"a":1}"#);
        assert_eq!(texts(r#"{"a":1}"#), [Ok((None, r#"{"a":1}"#))]);
    }

    #[test]
    fn several_records_become_an_array_that_reads_back() {
        let mut aggregate = Aggregate::new(record(r#"{"a":1}"#), 100);
        for json in ["{}", r#"{"b":[1.50]}"#] {
            aggregate.try_push(record(json)).unwrap();
        }
        let plaintext = String::from_utf8(aggregate.into_plaintext()).unwrap();
        assert_eq!(plaintext, r#"[{"a":1},{},{"b":[1.50]}]"#);
        let members =
            [Ok((Some(0), r#"{"a":1}"#)), Ok((Some(1), "{}")), Ok((Some(2), r#"{"b":[1.50]}"#))];
        assert_eq!(texts(&plaintext), members);
    }

    #[test]
    fn the_limits_are_met_exactly() {
        for limit in [30, 31, 100, MAX_AGGREGATE_BYTES, usize::MAX] {
            let effective = limit.min(MAX_AGGREGATE_BYTES);
            let mut aggregate = Aggregate::new(record_of(10), limit);
            aggregate.try_push(record_of(8)).unwrap();
            let last = effective - "[,,]".len() - 18;
            aggregate.try_push(record_of(last + 1)).unwrap_err();
            if last >= 8 {
                aggregate.try_push(record_of(last)).unwrap();
                assert_eq!(aggregate.into_plaintext().len(), effective, "{limit}");
            }
        }
        let mut aggregate = Aggregate::new(record("{}"), usize::MAX);
        let mut records = 1;
        while aggregate.try_push(record("{}")).is_ok() {
            records += 1;
        }
        assert_eq!(records, MAX_AGGREGATE_RECORDS);
    }

    #[test]
    fn a_limit_of_zero_keeps_records_apart() {
        let mut aggregate = Aggregate::new(record("{}"), 0);
        assert_eq!(aggregate.try_push(record(r#"{"a":1}"#)), Err(record(r#"{"a":1}"#)));
        assert_eq!(aggregate.into_plaintext(), b"{}");
    }

    #[test]
    fn bad_members_are_named_and_spare_their_neighbours() {
        let plaintext = " [ {\"a\":1} , \"secret\", [{}], null , {} ] ";
        let bad = |index| Err(InvalidMember { index });
        let expected = [Ok((Some(0), r#"{"a":1}"#)), bad(1), bad(2), bad(3), Ok((Some(4), "{}"))];
        assert_eq!(texts(plaintext), expected);
        assert_eq!(
            InvalidMember { index: 3 }.to_string(),
            "element [3] of the aggregate is not a JSON object"
        );
    }

    #[test]
    fn plaintexts_without_records_are_refused_without_their_content() {
        let not_json = "the plaintext is not valid JSON";
        let not_records = "the plaintext is neither a JSON object nor an array of JSON objects";
        for (plaintext, reason) in [
            (b"secret".as_slice(), format!("{not_json} (line 1, column 1)")),
            (b"", format!("{not_json} (line 1, column 0)")),
            (b"{}{}", format!("{not_json} (line 1, column 3)")),
            (b"{\"secret\":\"\xff\"}", format!("{not_json} (line 1, column 12)")),
            (b"\"secret\"", not_records.to_owned()),
            (b"1", not_records.to_owned()),
            (b"[]", not_records.to_owned()),
        ] {
            assert_eq!(parse_plaintext(plaintext).unwrap_err().to_string(), reason);
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let aggregate = Aggregate::new(record(r#"{"name":"marker"}"#), 0);
        assert_eq!(format!("{aggregate:?}"), "Aggregate { records: 1, bytes: 17, .. }");
        let members = parse_plaintext(br#"{"name":"marker"}"#).unwrap();
        assert_eq!(format!("{members:?}"), "[Ok(Member { index: None, bytes: 17, .. })]");
    }
}
