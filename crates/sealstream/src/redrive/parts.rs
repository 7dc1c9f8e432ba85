//! Splits records into events that an invocation can handle.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::document::{Document, sequence_number};

/// Maximum number of records in an event. A batch that Lambda skipped may have been too large for the
/// function's time or memory, so events are smaller than those of the event source mapping.
const MAX_RECORDS: usize = 100;
/// Maximum bytes of an event, unless a single record has more. Lambda takes 6 MiB.
const MAX_BYTES: usize = 1 << 20;

/// Records for one invocation.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Each with the index of the document that it comes from.
    records: Vec<(usize, Value)>,
    bytes: usize,
}

impl Part {
    /// Splits the records of documents into parts, in order.
    pub(super) fn split(documents: &[Document]) -> Vec<Self> {
        let mut parts = vec![Self::default()];
        for (index, document) in documents.iter().enumerate() {
            for record in &document.content.records {
                let bytes = record.to_string().len() + ",".len();
                let part = parts.last().expect("there is a part");
                if !part.records.is_empty() && !part.has_capacity(bytes) {
                    parts.push(Self::default());
                }
                let part = parts.last_mut().expect("there is a part");
                part.records.push((index, record.clone()));
                part.bytes += bytes;
            }
        }
        parts.retain(|part| !part.records.is_empty());
        parts
    }

    /// Splits a part of several records into halves.
    pub(super) fn halve(&self) -> Option<[Self; 2]> {
        let (first, second) = self.records.split_at(self.records.len() / 2);
        let part = |records: &[_]| Self { records: records.to_vec(), bytes: self.bytes / 2 };
        (!first.is_empty()).then(|| [part(first), part(second)])
    }

    /// Returns the indices of the documents that the records come from.
    pub(super) fn documents(&self) -> HashSet<usize> {
        self.records.iter().map(|(document, _)| *document).collect()
    }

    fn has_capacity(&self, bytes: usize) -> bool {
        self.records.len() < MAX_RECORDS && self.bytes + bytes <= MAX_BYTES
    }

    /// Returns the event, without spaces.
    pub(super) fn event(&self) -> Vec<u8> {
        let records: Vec<_> = self.records.iter().map(|(_, record)| record).collect();
        json!({ "Records": records }).to_string().into_bytes()
    }

    /// Returns `true` if all of the sequence numbers are those of records of the part.
    pub(super) fn has_all(&self, sequence_numbers: &[String]) -> bool {
        let own: HashSet<_> =
            self.records.iter().filter_map(|(_, record)| sequence_number(record)).collect();
        sequence_numbers.iter().all(|number| own.contains(number.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redrive::document::Content;

    fn document(numbers: std::ops::Range<usize>, bytes: usize) -> Document {
        let record = |number: usize| json!({ "kinesis": { "sequenceNumber": number.to_string(), "data": "x".repeat(bytes) } });
        let records = numbers.map(record).collect();
        let content = Content { time: String::new(), reason: String::new(), records };
        Document { key: String::new(), etag: String::new(), content }
    }

    fn sizes(documents: &[Document]) -> Vec<usize> {
        Part::split(documents).iter().map(|part| part.records.len()).collect()
    }

    #[test]
    fn parts_end_at_a_number_of_records_and_of_bytes() {
        let small: Vec<_> = (0..250).map(|number| document(number..number + 1, 10)).collect();
        assert_eq!(sizes(&small), [100, 100, 50]);
        assert_eq!(sizes(&[document(0..250, 10)]), [100, 100, 50]);
        assert_eq!(sizes(&[document(0..7, 400_000)]), [2, 2, 2, 1]);
        assert_eq!(sizes(&[document(0..2, 2_000_000)]), [1, 1]);
        assert!(sizes(&[]).is_empty());
    }

    #[test]
    fn halves_have_all_records_of_the_part_in_order() {
        let part = Part::split(&[document(0..2, 1), document(2..5, 1)]).remove(0);
        let halves = part.halve().unwrap();
        assert_eq!(halves.each_ref().map(|half| half.records.len()), [2, 3]);
        assert_eq!(halves[0].documents(), HashSet::from([0]));
        assert_eq!(halves.map(|half| half.records).concat(), part.records);
        assert!(Part::split(&[document(0..1, 1)])[0].halve().is_none());
    }

    #[test]
    fn a_part_knows_its_documents_and_records() {
        let parts = Part::split(&[document(0..1, 1), document(1..150, 1)]);
        assert_eq!(parts[0].documents(), HashSet::from([0, 1]));
        assert_eq!(parts[1].documents(), HashSet::from([1]));
        let numbers = |numbers: &[&str]| numbers.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert!(parts[1].has_all(&numbers(&["100", "149"])));
        assert!(!parts[1].has_all(&numbers(&["100", ""])));
        assert!(!parts[1].event().contains(&b' '));
    }
}
