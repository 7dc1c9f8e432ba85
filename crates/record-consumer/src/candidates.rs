//! Which of several items with the same key is written.

use std::collections::{BTreeMap, HashMap};

use record_cipher::ErrorKind;

use crate::content::Entry;
use crate::failure::RecordFailure;
use crate::item::ItemKey;
use crate::table::Item;
use crate::version::Version;
use crate::write::Unwritten;

/// The failures of a batch, by the record's place in it.
pub(crate) type Failures = BTreeMap<usize, RecordFailure>;

/// The items of a batch that are still to be written, those of a key with the best one last.
///
/// The best one has the highest version. Of those with the same version, or if there are none, it
/// is the last one.
#[derive(Default)]
pub(crate) struct Candidates {
    of_key: HashMap<ItemKey, Vec<Candidate>>,
    written: usize,
    superseded: usize,
}

struct Candidate {
    record: usize,
    element: Option<usize>,
    version: Option<Version>,
    /// Empty once it has been tried.
    item: Item,
}

impl Candidates {
    /// Those of a batch's entries, each with its record's place, in the batch's order.
    pub(crate) fn of(entries: Vec<(usize, Entry)>) -> Self {
        let mut candidates = Self::default();
        for (record, Entry { element, key, version, item }) in entries {
            let candidate = Candidate { record, element, version, item };
            candidates.of_key.entry(key).or_default().push(candidate);
        }
        for rivals in candidates.of_key.values_mut() {
            rivals.sort_by(|a, b| a.version.cmp(&b.version));
        }
        candidates
    }

    /// The best item of each key, to be tried now; none if all is done.
    pub(crate) fn take_best(&mut self) -> Option<HashMap<ItemKey, Item>> {
        let best = self.of_key.iter_mut().filter_map(|(key, rivals)| {
            Some((key.clone(), std::mem::take(&mut rivals.last_mut()?.item)))
        });
        let best: HashMap<_, _> = best.collect();
        (!best.is_empty()).then_some(best)
    }

    /// Takes note of what became of the items that were tried.
    ///
    /// An item that was written, or is older than the table's, settles its key: the others of the
    /// key are superseded. An item that DynamoDB refuses fails its record, and the next best one is
    /// to be tried, because nothing is wrong with that one. Where a key was not written for another
    /// reason, all its records have failed for that reason.
    pub(crate) fn settle(
        &mut self,
        mut unwritten: HashMap<ItemKey, Unwritten>,
        failures: &mut Failures,
    ) {
        let tried = std::mem::take(&mut self.of_key);
        for (key, mut rivals) in tried {
            match unwritten.remove(&key) {
                None => {
                    self.written += 1;
                    self.superseded += rivals.len() - 1;
                }
                Some(Unwritten::Superseded) => self.superseded += rivals.len(),
                Some(Unwritten::Failed(failure)) if failure.kind() == ErrorKind::Record => {
                    fail_best(&mut rivals, failure, failures);
                    self.of_key.insert(key, rivals);
                }
                Some(Unwritten::Failed(failure)) => fail_all(&rivals, &failure, failures),
            }
        }
        self.forget_failed(failures);
    }

    /// Items that the table took.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// Items that gave way to a newer one of their key, in the batch or in the table.
    pub(crate) fn superseded(&self) -> usize {
        self.superseded
    }

    /// No more items of a record that has failed for good are written.
    fn forget_failed(&mut self, failures: &Failures) {
        let failed = |candidate: &Candidate| {
            let failure = failures.get(&candidate.record);
            failure.is_some_and(|failure| failure.kind() == ErrorKind::Record)
        };
        self.of_key.retain(|_, rivals| {
            rivals.retain(|candidate| !failed(candidate));
            !rivals.is_empty()
        });
    }
}

fn fail_best(rivals: &mut Vec<Candidate>, failure: RecordFailure, failures: &mut Failures) {
    let best = rivals.pop().expect("a key that was tried has an item");
    failures.insert(best.record, failure.in_element(best.element));
}

/// A record that has failed for good stays so.
fn fail_all(rivals: &[Candidate], failure: &RecordFailure, failures: &mut Failures) {
    for candidate in rivals {
        failures.entry(candidate.record).or_insert_with(|| failure.clone());
    }
}
