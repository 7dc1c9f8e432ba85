//! DynamoDB's numbers in order.

use std::cmp::Ordering;

/// A decimal number of any size. Numbers that are written differently are equal if their values
/// are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// The value is 0.DIGITS times ten to this power.
    exponent: i64,
    /// Without zeros at either end; none is zero, which is positive and has the least exponent.
    digits: Vec<u8>,
}

impl Decimal {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = [whole.as_bytes(), fraction.as_bytes()].concat();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let Some(first) = digits.iter().position(|digit| *digit != b'0') else {
            return Some(Self { negative: false, exponent: i64::MIN, digits: Vec::new() });
        };
        let last = digits.iter().rposition(|digit| *digit != b'0')?;
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(first).ok()?;
        Some(Self {
            negative: mantissa.starts_with('-'),
            exponent: exponent.parse::<i64>().ok()?.checked_add(point)?,
            digits: digits[first..=last].to_vec(),
        })
    }

    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        (self.exponent, &self.digits).cmp(&(other.exponent, &other.digits))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.cmp_magnitude(other),
            (true, true) => other.cmp_magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_in_the_order_of_their_values() {
        let ascending = [
            "-1E3",
            "-20",
            "-3",
            "-0.5",
            "0",
            "1e-130",
            "0.09",
            "0.1",
            "9",
            "10.0001",
            "99999999999999999999999999999999999998",
            "99999999999999999999999999999999999999",
            "1E+125",
        ];
        assert!(ascending.is_sorted_by(|a, b| decimal(a) < decimal(b)));
    }

    #[test]
    fn ways_to_write_a_number_are_equal() {
        for same in ["10", "+10", "010", "10.0", "1e1", "1E+1", "100E-1", "0.1e2"] {
            assert_eq!(decimal(same), decimal("10"), "{same}");
        }
        assert_eq!(decimal("-0.0"), decimal("0"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "1.2.3", "0x1", "1e", "e1", "--1", "NaN", " 1"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }
}
