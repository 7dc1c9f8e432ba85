//! Guesses what data is that is not an encrypted message.

/// What a producer has put to the stream in place of an encrypted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mistake {
    #[error("it is empty")]
    Empty,
    #[error("it is JSON that is not encrypted")]
    PlainJson,
    #[error("it is compressed with gzip and not encrypted")]
    Gzip,
    #[error("it is compressed with Zstandard and not encrypted")]
    Zstandard,
    #[error(
        "it is an aggregate of the Kinesis Producer Library; set AggregationEnabled to false there"
    )]
    KplAggregate,
}

impl Mistake {
    /// Recognises data by its first bytes.
    pub(crate) fn recognise(data: &[u8]) -> Option<Self> {
        match data {
            [] => Some(Self::Empty),
            [0xf3, 0x89, 0x9a, 0xc2, ..] => Some(Self::KplAggregate),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstandard),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ => match data.trim_ascii_start().first() {
                Some(b'{' | b'[') => Some(Self::PlainJson),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_mistakes_are_recognised() {
        for (data, expected) in [
            (b"{\"id\":1}".as_slice(), Some(Mistake::PlainJson)),
            (b" \n[{}]", Some(Mistake::PlainJson)),
            (b"\x1f\x8b\x08\x00", Some(Mistake::Gzip)),
            (b"\x28\xb5\x2f\xfd\x00", Some(Mistake::Zstandard)),
            (b"\xf3\x89\x9a\xc2\x0a", Some(Mistake::KplAggregate)),
            (b"\x01\x80\x03\x78", None),
            (b"\x02\x05\x78", None),
            (b"text", None),
            (b"", Some(Mistake::Empty)),
        ] {
            assert_eq!(Mistake::recognise(data), expected, "{data:?}");
        }
    }
}
