//! Names of streams and Regions, checked when they are made.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a Kinesis data stream: 1 to 128 of `a-z A-Z 0-9 _ . -`.
///
/// Source: Kinesis API reference, `CreateStream`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

impl FromStr for StreamName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if (1..=128).contains(&name.len()) && name.bytes().all(allowed) {
            return Ok(Self(name.into()));
        }
        Err(InvalidName("a stream name is 1 to 128 letters, digits, '_', '.' or '-'"))
    }
}

impl StreamName {
    /// Returns the stream in the ARN of a stream, or of one of its consumers.
    ///
    /// # Errors
    /// The text is not such an ARN.
    pub fn from_arn(arn: &str) -> Result<Self, InvalidName> {
        let resource = arn.splitn(6, ':').nth(5).and_then(|rest| rest.strip_prefix("stream/"));
        resource
            .and_then(|path| path.split('/').next())
            .ok_or(InvalidName("the ARN of a stream is arn:…:kinesis:…:stream/NAME"))?
            .parse()
    }
}

/// The name of an AWS Region, such as `eu-west-1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionName(Arc<str>);

impl FromStr for RegionName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let parts: Vec<_> = name.split('-').collect();
        let lower = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
        let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match parts.as_slice() {
            [words @ .., last]
                if words.len() >= 2 && words.iter().all(|word| lower(word)) && number(last) =>
            {
                Ok(Self(name.into()))
            }
            _ => Err(InvalidName("an AWS Region looks like eu-west-1")),
        }
    }
}

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(StreamName);
text!(RegionName);

/// Invalid name. The message says what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_have_the_characters_that_kinesis_allows() {
        for name in ["records", "a", "A-b_c.9", &"x".repeat(128)] {
            assert_eq!(name.parse::<StreamName>().unwrap().as_str(), name);
        }
        for name in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(name.parse::<StreamName>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_stream_of_an_arn_is_found_behind_its_consumers() {
        let of = |arn: &str| StreamName::from_arn(arn).map(|name| name.as_str().to_owned());
        let stream = "arn:aws:kinesis:eu-west-1:000000000000:stream/records";
        assert_eq!(of(stream).unwrap(), "records");
        assert_eq!(of(&format!("{stream}/consumer/reader:1700000000")).unwrap(), "records");
        for arn in ["", "records", "arn:aws:sqs:eu-west-1:000000000000:records"] {
            assert!(of(arn).is_err(), "{arn}");
        }
        assert!(of("arn:aws:kinesis:eu-west-1:000000000000:stream/").is_err());
    }

    #[test]
    fn regions_look_like_regions() {
        for name in ["eu-west-1", "us-gov-east-1", "ap-southeast-12"] {
            assert_eq!(name.parse::<RegionName>().unwrap().as_str(), name);
        }
        for name in ["", "eu-west", "EU-WEST-1", "eu-west-1a", "1", "eu-1", " eu-west-1", "a--1"] {
            assert!(name.parse::<RegionName>().is_err(), "{name}");
        }
    }
}
