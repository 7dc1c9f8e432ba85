//! Where each record is, according to the pusher and to the tables and quarantines.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::environment::{BUCKET, Environment, REGIONS, TABLE, VERSION};
use crate::samples::{Kind, Sample};

/// Identifies a message by a hash of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MessageId(u64);

impl MessageId {
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Fate of a record in one Region, according to the pusher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Kinesis acknowledged it.
    Acknowledged,
    /// Returned as undelivered after an attempt. Kinesis may have it, if a response was lost.
    Undelivered,
    /// Returned as undelivered without an attempt.
    NotSent,
}

/// A record and its fates, according to the pusher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pushed {
    pub(crate) number: usize,
    /// `None` if it was not encrypted. Several records may share a message.
    pub(crate) message: Option<MessageId>,
    /// In the order of [`REGIONS`].
    pub(crate) fates: [Fate; REGIONS.len()],
}

/// All records of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    seed: u64,
    /// Whether items have versions.
    versions: bool,
    entries: Vec<Entry>,
    /// Errors found in each Region's table.
    problems: [Vec<String>; REGIONS.len()],
}

/// A record, and whether the table of each Region has it, in the order of [`REGIONS`].
#[derive(Debug)]
struct Entry {
    pushed: Pushed,
    is_written: [bool; REGIONS.len()],
}

/// Counts of a run's records in one Region. Written, quarantined and undelivered records are all of
/// them.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) written: u64,
    pub(crate) quarantined: u64,
    pub(crate) undelivered: u64,
    /// Undelivered records that the table has nevertheless.
    pub(crate) undelivered_and_written: u64,
    /// Errors in the accounts.
    pub(crate) problems: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(seed: u64, versions: bool) -> Self {
        Self { seed, versions, entries: Vec::new(), problems: Default::default() }
    }

    /// Enters the records of a round. The tables must hold the items of this round and no others.
    pub(crate) fn enter(&mut self, environment: &Environment, round: Vec<Pushed>) {
        let mut tables = REGIONS.map(|region| items(environment, region));
        for pushed in round {
            let sample = Sample::new(self.seed, pushed.number);
            let mut is_written = [false; REGIONS.len()];
            for (region, items) in tables.iter_mut().enumerate() {
                let mut item = items.remove(&sample.id());
                is_written[region] = item.is_some();
                let version = item.as_mut().and_then(|item| item.as_object_mut()?.remove(VERSION));
                if item.is_some() && version.is_some() != self.versions {
                    self.problems[region].push(sample.problem("the item's version is not right"));
                }
                if item.is_some_and(|item| item != sample.item()) {
                    self.problems[region].push(sample.problem("the item is not what was pushed"));
                }
            }
            self.entries.push(Entry { pushed, is_written });
        }
        for (problems, items) in self.problems.iter_mut().zip(tables) {
            problems.extend(items.into_keys().map(|id| format!("item {id} was not pushed")));
        }
    }

    /// Compares the ledger with a Region's quarantine. `region` is an index into [`REGIONS`].
    pub(crate) fn account(
        &self,
        environment: &Environment,
        region: usize,
    ) -> anyhow::Result<Account> {
        let quarantined = quarantined(environment, REGIONS[region])?;
        let bad = self.bad_messages();
        let is_in = |messages: &HashSet<_>, message: Option<MessageId>| {
            message.is_some_and(|message| messages.contains(&message))
        };
        let mut account = Account { problems: self.problems[region].clone(), ..Account::default() };
        for Entry { pushed, is_written } in &self.entries {
            let places = Places {
                is_written: is_written[region],
                is_quarantined: is_in(&quarantined, pushed.message),
            };
            let sample = Sample::new(self.seed, pushed.number);
            account.enter(&sample, pushed.fates[region], places, is_in(&bad, pushed.message));
        }
        account.expect_no_others(&quarantined, &self.messages());
        Ok(account)
    }

    fn messages(&self) -> HashSet<MessageId> {
        self.entries.iter().filter_map(|entry| entry.pushed.message).collect()
    }

    /// Returns the messages with at least one bad record, which are quarantined.
    fn bad_messages(&self) -> HashSet<MessageId> {
        let pushed = self.entries.iter().map(|entry| entry.pushed);
        let is_bad = |pushed: &Pushed| Sample::new(self.seed, pushed.number).kind != Kind::Good;
        pushed.filter(is_bad).filter_map(|pushed| pushed.message).collect()
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy)]
struct Places {
    is_written: bool,
    is_quarantined: bool,
}

/// Returns the items of a Region's table by id.
fn items(environment: &Environment, region: &str) -> HashMap<String, Value> {
    let id = |item: &Value| item["id"]["S"].as_str().unwrap_or_default().to_owned();
    let items = environment.aws.dynamodb().items(region, TABLE).into_iter().map(Value::Object);
    items.map(|item| (id(&item), item)).collect()
}

fn quarantined(environment: &Environment, region: &str) -> anyhow::Result<HashSet<MessageId>> {
    let documents = environment.aws.s3().objects(region, BUCKET);
    documents.values().map(|document| message_of(document)).collect()
}

/// Returns the id of the message in a document of the quarantine.
fn message_of(document: &[u8]) -> anyhow::Result<MessageId> {
    let document: Value = serde_json::from_slice(document)?;
    let data = document["record"]["kinesis"]["data"].as_str();
    let data = data.context("a document in the quarantine has no data")?;
    Ok(MessageId::of(&BASE64_STANDARD.decode(data)?))
}

impl Account {
    fn enter(&mut self, sample: &Sample, fate: Fate, places: Places, is_bad: bool) {
        let Places { is_written, is_quarantined } = places;
        let is_good = sample.kind == Kind::Good;
        match (fate, is_good) {
            (Fate::Acknowledged, true) => self.written += 1,
            (Fate::Acknowledged, false) => self.quarantined += 1,
            (Fate::Undelivered | Fate::NotSent, _) => {
                self.undelivered += 1;
                self.undelivered_and_written += u64::from(is_written);
            }
        }
        // A bad message is quarantined whole, and its good records are written too.
        let is_right = match fate {
            Fate::Acknowledged => is_written == is_good && is_quarantined == is_bad,
            Fate::Undelivered => is_written <= is_good && is_quarantined <= is_bad,
            Fate::NotSent => !is_written && !is_quarantined,
        };
        if !is_right {
            let what = format!("{fate:?}, {places:?}, bad message: {is_bad}");
            self.problems.push(sample.problem(&what));
        }
    }

    /// Reports messages in the quarantine that were not pushed.
    fn expect_no_others(&mut self, quarantined: &HashSet<MessageId>, pushed: &HashSet<MessageId>) {
        let unknown = quarantined.difference(pushed).count();
        if unknown > 0 {
            self.problems.push(format!("{unknown} messages in the quarantine were not pushed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYWHERE: [(bool, bool); 4] =
        [(false, false), (true, false), (false, true), (true, true)];

    /// Returns the problems with a record of that kind and fate, for each of the places.
    fn problems(kind: Kind, fate: Fate, is_bad: bool) -> [usize; 4] {
        EVERYWHERE.map(|(is_written, is_quarantined)| {
            let mut account = Account::default();
            let places = Places { is_written, is_quarantined };
            let mut sample = Sample::new(1, 1);
            sample.kind = kind;
            account.enter(&sample, fate, places, is_bad);
            assert_eq!(account.written + account.quarantined + account.undelivered, 1);
            account.problems.len()
        })
    }

    #[test]
    fn a_record_is_in_one_place_or_undelivered() {
        assert_eq!(problems(Kind::Good, Fate::Acknowledged, false), [1, 0, 1, 1]);
        assert_eq!(problems(Kind::Tampered, Fate::Acknowledged, true), [1, 1, 0, 1]);
        assert_eq!(problems(Kind::Good, Fate::Undelivered, false), [0, 0, 1, 1]);
        assert_eq!(problems(Kind::Tampered, Fate::Undelivered, true), [0, 1, 0, 1]);
        assert_eq!(problems(Kind::Good, Fate::NotSent, false), [0, 1, 1, 1]);
        assert_eq!(problems(Kind::Tampered, Fate::NotSent, true), [0, 1, 1, 1]);
    }

    #[test]
    fn a_good_record_of_a_bad_message_is_written_and_quarantined() {
        assert_eq!(problems(Kind::Good, Fate::Acknowledged, true), [1, 1, 1, 0]);
        assert_eq!(problems(Kind::Good, Fate::Undelivered, true), [0, 0, 0, 0]);
        assert_eq!(problems(Kind::Good, Fate::NotSent, true), [0, 1, 1, 1]);
    }

    #[test]
    fn what_was_not_pushed_is_a_problem_in_the_quarantine() {
        let mut account = Account::default();
        account.expect_no_others(&[MessageId(1)].into(), &HashSet::new());
        assert_eq!(account.problems.len(), 1);
    }
}
