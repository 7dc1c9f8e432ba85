//! Numbers as DynamoDB has them: decimal, 38 digits, exact.

use std::cmp::Ordering;

/// Digits that DynamoDB keeps.
const MAX_DIGITS: usize = 38;
/// Exponents of DynamoDB's numbers in scientific notation: 1E-130 to 9.99…E+125.
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;

/// Digits up to which a number is written without an exponent. Readers that expect an integer do not
/// understand `12E2`.
const MAX_PLAIN: i64 = 38;

/// A decimal number in its only form: `0.DIGITS * 10^exponent`, with neither leading nor trailing
/// zeros among the digits. Zero has no digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// A number that DynamoDB cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfRange {
    Digits,
    Magnitude,
}

impl Decimal {
    /// The value of a JSON number, whatever way it is written.
    ///
    /// Source of the limits: Amazon DynamoDB developer guide, constraints, data types, number.
    pub(crate) fn of_json(number: &str) -> Result<Self, OutOfRange> {
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Ok(Self { negative: false, digits, exponent: 0 });
        }
        let power: i64 = power.parse().map_err(|_| OutOfRange::Magnitude)?;
        let point = length(whole) - (length(&all) - length(significant));
        let exponent = point.checked_add(power).ok_or(OutOfRange::Magnitude)?;
        if digits.len() > MAX_DIGITS {
            return Err(OutOfRange::Digits);
        }
        // Scientific notation has one digit before the point, this form none.
        if !EXPONENTS.contains(&(exponent.saturating_sub(1))) {
            return Err(OutOfRange::Magnitude);
        }
        Ok(Self { negative, digits, exponent })
    }

    /// Bytes that DynamoDB counts for the number: one for every two digits, and one more, and one
    /// for a sign.
    ///
    /// Source: Amazon DynamoDB developer guide, item sizes and formats.
    pub(crate) fn size(&self) -> usize {
        self.digits.len().div_ceil(2) + 1 + usize::from(self.negative)
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

/// The order of the values.
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.sign().cmp(&other.sign());
        let by_magnitude = || (self.exponent, &self.digits).cmp(&(other.exponent, &other.digits));
        by_sign.then_with(|| if self.negative { by_magnitude().reverse() } else { by_magnitude() })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Text that DynamoDB reads as exactly this number: plain digits unless those are long.
impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { negative, digits, exponent } = self;
        let sign = if *negative { "-" } else { "" };
        let length = length(digits);
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
        match *exponent {
            _ if digits.is_empty() => f.write_str("0"),
            point if (length..=MAX_PLAIN).contains(&point) => {
                write!(f, "{sign}{digits}{}", zeros(point - length))
            }
            point if (1..length).contains(&point) => {
                let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
                write!(f, "{sign}{whole}.{fraction}")
            }
            point if point <= 0 && length - point <= MAX_PLAIN => {
                write!(f, "{sign}0.{}{digits}", zeros(-point))
            }
            point => write!(f, "{sign}{digits}E{}", point - length),
        }
    }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).expect("a text is shorter than 2^63 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(number: &str) -> Result<String, OutOfRange> {
        Decimal::of_json(number).map(|decimal| decimal.to_string())
    }

    #[test]
    fn every_digit_is_kept() {
        for (json, expected) in [
            ("0", "0"),
            ("-0.00e5", "0"),
            ("7", "7"),
            ("-12.500", "-12.5"),
            ("0.05", "0.05"),
            ("0.5", "0.5"),
            ("1200", "1200"),
            ("-1200", "-1200"),
            ("1e37", "10000000000000000000000000000000000000"),
            ("1e38", "1E38"),
            ("0.00120", "0.0012"),
            ("1e-38", "0.00000000000000000000000000000000000001"),
            ("1e-39", "1E-39"),
            ("1e2", "100"),
            ("12E-1", "1.2"),
            ("0.1e+1", "1"),
            (
                "3.14159265358979323846264338327950288419",
                "3.14159265358979323846264338327950288419",
            ),
        ] {
            match json.len() {
                40.. => assert_eq!(text(json), Err(OutOfRange::Digits)),
                _ => assert_eq!(text(json), Ok(expected.to_owned()), "{json}"),
            }
        }
        let digits = "12345678901234567890123456789012345678";
        assert_eq!(text(digits), Ok(digits.to_owned()));
        assert_eq!(text(&format!("{digits}000")), Ok(format!("{digits}E3")));
    }

    #[test]
    fn the_limits_are_those_of_dynamodb() {
        let nines = "9".repeat(38);
        for fits in ["1e-130", "1e125", "0e999999999999999999999", &format!("{nines}e88")] {
            assert!(text(fits).is_ok(), "{fits}");
        }
        for (beyond, reason) in [
            ("9e-131", OutOfRange::Magnitude),
            ("1e126", OutOfRange::Magnitude),
            (&format!("{nines}e89"), OutOfRange::Magnitude),
            ("1e99999999999999999999", OutOfRange::Magnitude),
            ("1e9223372036854775807", OutOfRange::Magnitude),
            ("1e-9223372036854775808", OutOfRange::Magnitude),
            (&format!("{nines}.1"), OutOfRange::Digits),
        ] {
            assert_eq!(text(beyond), Err(reason), "{beyond}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_number(
            number in "-?(0|[1-9][0-9]{0,15})(\\.[0-9]{1,15})?([eE][-+]?[0-9]{1,2})?",
        ) {
            let decimal = Decimal::of_json(&number).unwrap();
            prop_assert_eq!(&Decimal::of_json(&decimal.to_string()).unwrap(), &decimal);
            let (given, written): (f64, f64) =
                (number.parse().unwrap(), decimal.to_string().parse().unwrap());
            prop_assert_eq!(given, written);
        }

        #[test]
        fn numbers_are_ordered_by_their_values(
            a in "-?(0|[1-9][0-9]{0,2})(\\.[0-9]{1,2})?([eE][-+]?[0-9])?",
            b in "-?(0|[1-9][0-9]{0,2})(\\.[0-9]{1,2})?([eE][-+]?[0-9])?",
        ) {
            let order = Decimal::of_json(&a).unwrap().cmp(&Decimal::of_json(&b).unwrap());
            let values: (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(Some(order), values.0.partial_cmp(&values.1));
        }
    }
}
