//! Why records were not written.

use std::collections::BTreeMap;
use std::fmt;

use aws_outcome::Failure;
use record_cipher::aggregate::{InvalidMember, InvalidPlaintext};
use record_cipher::{CipherError, ErrorKind, InvalidName};

use crate::item::InvalidItem;
use crate::mistake::Mistake;

/// Faults of an aggregate's members that are described one by one.
const MAX_DESCRIBED: usize = 10;

/// Why a record, or one member of an aggregate, was not written. Names attributes, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    /// The event does not say which stream the record came from.
    #[error("the record's eventSourceARN names no stream: {0}")]
    EventSource(#[from] InvalidName),
    /// The event does not contain the record's data.
    #[error("the event has no base64 data for the record")]
    NoData,
    /// The record could not be decrypted, or was encrypted for another stream.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The data is something else than a message.
    #[error("the message was refused: {0}")]
    Mistake(Mistake),
    /// The plaintext does not contain records.
    #[error(transparent)]
    Plaintext(#[from] InvalidPlaintext),
    /// A member of an aggregate is not an object.
    #[error(transparent)]
    Member(#[from] InvalidMember),
    /// The record does not fit the table.
    #[error(transparent)]
    Item(#[from] InvalidItem),
    /// DynamoDB rejects the item, and always will.
    #[error("DynamoDB rejects the item: {0}")]
    Rejected(Failure),
    /// DynamoDB denies the write until an operator acts.
    #[error("DynamoDB did not write the item: {0}")]
    Denied(Failure),
    /// The time ended while an item was being written.
    #[error("not written before the invocation's deadline: {call} {}", describe(.failure.as_ref()))]
    NotWritten {
        /// Operation of DynamoDB.
        call: &'static str,
        /// How the last request failed, if any did.
        failure: Option<Failure>,
    },
    /// The time ended while the record was being decrypted.
    #[error("not decrypted before the invocation's deadline: kms:Decrypt did not answer")]
    NotDecrypted,
    /// The invocation stopped before this record.
    #[error("not attempted: earlier records of the batch took all of the invocation's time")]
    NoTime,
    /// The invocation stopped at an earlier record that needs an operator.
    #[error("not attempted: an earlier record of the batch waits for an operator: {0}")]
    Halted(Failure),
    /// Earlier records have used up the failing calls to KMS that a batch may make.
    #[error("not attempted: kms:Decrypt failed too often for earlier records of the batch")]
    KmsBudget,
    /// The record can never be written, and the quarantine did not store it.
    #[error("{fault}; it could not be quarantined: s3:PutObject {failure}")]
    NotQuarantined {
        /// What is wrong with the record.
        fault: String,
        /// Why it was not stored.
        failure: Failure,
    },
    /// The record can never be written, and the event does not say where it came from.
    #[error(
        "{0}; it could not be quarantined: the event lacks its stream, shard or sequence number"
    )]
    NoOrigin(String),
}

fn describe(failure: Option<&Failure>) -> String {
    failure.map_or_else(|| "did not answer".to_owned(), |failure| format!("failed: {failure}"))
}

impl Reason {
    /// Returns who must act.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Cipher(error) => error.kind(),
            Self::EventSource(_)
            | Self::NoData
            | Self::Mistake(_)
            | Self::Plaintext(_)
            | Self::Member(_)
            | Self::Item(_)
            | Self::Rejected(_) => ErrorKind::Record,
            Self::Denied(_) | Self::Halted(_) | Self::NoOrigin(_) => ErrorKind::Operator,
            Self::NotQuarantined { failure, .. } if !failure.is_retryable() => ErrorKind::Operator,
            Self::NotWritten { .. }
            | Self::NotDecrypted
            | Self::NoTime
            | Self::KmsBudget
            | Self::NotQuarantined { .. } => ErrorKind::Retryable,
        }
    }

    /// Returns `true` if more time would have helped.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::NotWritten { .. } | Self::NotDecrypted | Self::NoTime)
    }
}

/// What keeps a record from being done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RecordFailure {
    /// Faults of the record itself, each with the index of the aggregate's member that has it.
    faults: Vec<(Option<usize>, Reason)>,
    /// The first reason that may be gone at the next delivery.
    obstacle: Option<Reason>,
}

impl RecordFailure {
    fn add(&mut self, member: Option<usize>, reason: Reason) {
        match reason.kind() {
            ErrorKind::Record => self.faults.push((member, reason)),
            _ => self.obstacle = self.obstacle.take().or(Some(reason)),
        }
    }

    /// Returns who must act. A record is at fault only if nothing else keeps it from being done.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.obstacle.as_ref().map_or(ErrorKind::Record, Reason::kind)
    }

    /// Returns the indices of the bad members; empty if the record as a whole is bad.
    pub(crate) fn bad_members(&self) -> Vec<usize> {
        let mut members: Vec<_> = self.faults.iter().filter_map(|(member, _)| *member).collect();
        members.sort_unstable();
        members
    }

    pub(crate) fn is_timeout(&self) -> bool {
        self.obstacle.as_ref().is_some_and(Reason::is_timeout)
    }
}

impl fmt::Display for RecordFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(obstacle) = &self.obstacle {
            return obstacle.fmt(f);
        }
        for (at, (member, reason)) in self.faults.iter().take(MAX_DESCRIBED).enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            match (member, reason) {
                (Some(index), reason) if !matches!(reason, Reason::Member(_)) => {
                    write!(f, "{separator}element [{index}] of the aggregate: {reason}")?;
                }
                _ => write!(f, "{separator}{reason}")?,
            }
        }
        match self.faults.len().saturating_sub(MAX_DESCRIBED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The failures of a batch, by the record's index in it.
#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<usize, RecordFailure>);

impl Failures {
    /// Adds a reason why a record, or the member of an aggregate, was not written.
    pub(crate) fn add(&mut self, record: usize, member: Option<usize>, reason: Reason) {
        self.0.entry(record).or_default().add(member, reason);
    }

    pub(crate) fn insert(&mut self, record: usize, failure: RecordFailure) {
        self.0.insert(record, failure);
    }

    pub(crate) fn extend(&mut self, failures: Self) {
        self.0.extend(failures.0);
    }

    /// Splits off the records that are themselves at fault.
    pub(crate) fn partition(self) -> (Self, Self) {
        let (faults, others) =
            self.0.into_iter().partition(|(_, failure)| failure.kind() == ErrorKind::Record);
        (Self(faults), Self(others))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the failures in the order of the batch.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &RecordFailure)> {
        self.0.iter().map(|(record, failure)| (*record, failure))
    }
}

impl IntoIterator for Failures {
    type Item = (usize, RecordFailure);
    type IntoIter = std::collections::btree_map::IntoIter<usize, RecordFailure>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(index: usize) -> Reason {
        Reason::Member(InvalidMember { index })
    }

    #[test]
    fn a_record_is_at_fault_only_if_nothing_else_stands_in_its_way() {
        let mut failures = Failures::default();
        failures.add(3, Some(1), member(1));
        failures.add(3, None, Reason::NoTime);
        failures.add(3, None, Reason::KmsBudget);
        failures.add(4, Some(2), member(2));
        failures.add(4, Some(0), Reason::Plaintext(InvalidPlaintext::NotRecords));
        let (faults, others) = failures.partition();
        let [(4, fault)] = faults.iter().collect::<Vec<_>>()[..] else { panic!("{faults:?}") };
        assert_eq!(fault.bad_members(), [0, 2]);
        assert_eq!(
            fault.to_string(),
            "element [2] of the aggregate is not a JSON object; element [0] of the aggregate: the \
             plaintext is neither a JSON object nor an array of JSON objects"
        );
        let [(3, other)] = others.iter().collect::<Vec<_>>()[..] else { panic!("{others:?}") };
        assert_eq!((other.kind(), other.is_timeout()), (ErrorKind::Retryable, true));
        assert!(other.to_string().starts_with("not attempted: earlier records"));
    }

    #[test]
    fn a_long_list_of_faults_is_cut_off() {
        let mut failure = RecordFailure::default();
        (0..500).for_each(|index| failure.add(Some(index), member(index)));
        assert_eq!(failure.bad_members().len(), 500);
        assert!(failure.to_string().ends_with("object; and 490 more"));
    }
}
