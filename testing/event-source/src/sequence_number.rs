//! Sequence numbers.

/// A decimal number of any length, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SequenceNumber {
    /// First in the order of the fields, because a number with more digits is greater.
    length: usize,
    digits: String,
}

impl SequenceNumber {
    /// The number that the text is, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let has_leading_zero = text.len() > 1 && text.starts_with('0');
        (is_decimal && !has_leading_zero).then(|| Self::new(text.to_owned()))
    }

    /// The first number of a shard. It is as long as those of Kinesis.
    pub(crate) fn first() -> Self {
        Self::new("49590338271490256608559692538361571095921575989136588898".to_owned())
    }

    /// This number and one.
    pub(crate) fn successor(&self) -> Self {
        let kept = self.digits.trim_end_matches('9');
        let zeros = "0".repeat(self.length - kept.len());
        let (rest, last) = kept.split_at(kept.len().saturating_sub(1));
        let raised = last.bytes().next().map_or('1', |digit| char::from(digit + 1));
        Self::new(format!("{rest}{raised}{zeros}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.digits
    }

    fn new(digits: String) -> Self {
        Self { length: digits.len(), digits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> SequenceNumber {
        SequenceNumber::parse(text).unwrap()
    }

    #[test]
    fn the_successor_is_one_more() {
        for (text, successor) in [("0", "1"), ("18", "19"), ("1099", "1100"), ("99", "100")] {
            assert_eq!(number(text).successor(), number(successor));
        }
    }

    #[test]
    fn the_order_is_that_of_the_numbers() {
        assert!(number("9") < number("10"));
        assert!(number("19") < number("20"));
    }

    #[test]
    fn only_decimal_numbers_are_sequence_numbers() {
        for text in ["", "01", "1a", "-1", " 1"] {
            assert_eq!(SequenceNumber::parse(text), None, "{text:?}");
        }
    }
}
