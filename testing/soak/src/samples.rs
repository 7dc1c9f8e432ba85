//! The records that are pushed. Each follows from the seed and its number, so that none has to be
//! kept to be compared.

use fastrand::Rng;
use serde_json::{Value, json};

/// What is wrong with a record, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    /// It lacks the table's key attribute.
    WithoutKey,
    /// It was encrypted for another stream.
    OfAnotherStream,
    /// A byte of its message was changed.
    Tampered,
}

/// A record of a run.
pub(crate) struct Sample {
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    rng: Rng,
}

impl Sample {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64);
        let kind = match rng.u8(..100) {
            0 => Kind::WithoutKey,
            1 => Kind::OfAnotherStream,
            2 => Kind::Tampered,
            _ => Kind::Good,
        };
        Self { number, kind, rng }
    }

    /// The key of the item, of a record that has one.
    pub(crate) fn id(&self) -> String {
        format!("record-{}", self.number)
    }

    pub(crate) fn json(&self) -> String {
        let Content { note, amount, open } = self.content();
        let mut record =
            json!({ "amount": amount, "note": note, "open": open, "tags": [note, null] });
        if self.kind != Kind::WithoutKey {
            record["id"] = self.id().into();
        }
        record.to_string()
    }

    /// The item that a good record is to become.
    pub(crate) fn item(&self) -> Value {
        let Content { note, amount, open } = self.content();
        json!({
            "id": { "S": self.id() },
            "amount": { "N": amount.to_string() },
            "note": { "S": note },
            "open": { "BOOL": open },
            "tags": { "L": [{ "S": note }, { "NULL": true }] },
        })
    }

    /// The message with one byte changed.
    pub(crate) fn tamper(&self, mut message: Vec<u8>) -> Vec<u8> {
        let at = self.rng.clone().usize(..message.len());
        message[at] ^= 1;
        message
    }

    pub(crate) fn problem(&self, what: &str) -> String {
        format!("record {} ({:?}): {what}", self.number, self.kind)
    }

    fn content(&self) -> Content {
        let mut rng = self.rng.clone();
        let length = rng.usize(10..200);
        let letter = || LETTERS[rng.usize(..LETTERS.len())];
        let note = std::iter::repeat_with(letter).take(length).collect();
        // Odd, because the consumer may write zeros at the end as an exponent.
        Content { note, amount: rng.i64(..) | 1, open: rng.bool() }
    }
}

const LETTERS: [char; 8] = ['a', 'b', 'z', ' ', '"', '\\', 'ß', '東'];

struct Content {
    note: String,
    amount: i64,
    open: bool,
}
