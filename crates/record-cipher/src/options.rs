//! Options that settings name: the engine, and the Regions to encrypt for.

use std::fmt;
use std::str::FromStr;

/// Implementation that talks to AWS KMS and encodes and decodes messages. Every engine reads the
/// messages of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// This project's, many times faster.
    #[default]
    Native,
    /// The AWS Encryption SDK for Rust, if your policy requires AWS's code.
    AwsEsdk,
}

/// Regions whose KMS keys a record must be encrypted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncryptFor {
    /// Every Region. While the key of one cannot be used, records fail with an error that names
    /// the Region.
    #[default]
    All,
    /// The Regions whose keys can be used, at least one. The others cannot read the record: see
    /// [`Encrypted::missing_regions`](crate::Encrypted::missing_regions).
    Available,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::AwsEsdk => "aws-esdk",
        })
    }
}

impl fmt::Display for EncryptFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Available => "available",
        })
    }
}

impl FromStr for Engine {
    type Err = InvalidOption;

    fn from_str(name: &str) -> Result<Self, InvalidOption> {
        find(name, [Self::Native, Self::AwsEsdk])
    }
}

impl FromStr for EncryptFor {
    type Err = InvalidOption;

    fn from_str(name: &str) -> Result<Self, InvalidOption> {
        find(name, [Self::All, Self::Available])
    }
}

pub(crate) fn find<T: fmt::Display>(name: &str, options: [T; 2]) -> Result<T, InvalidOption> {
    let allowed = options.each_ref().map(T::to_string);
    let found = options.into_iter().find(|option| option.to_string() == name);
    found.ok_or_else(|| InvalidOption { name: name.to_owned(), allowed })
}

/// Unknown name of an option. The message lists the allowed names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown name '{name}'; use '{}' or '{}'", .allowed[0], .allowed[1])]
pub struct InvalidOption {
    name: String,
    allowed: [String; 2],
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};

    use super::*;

    fn check<T>(options: [(T, &str); 2])
    where
        T: FromStr<Err = InvalidOption> + Display + PartialEq + Debug,
    {
        for (option, name) in options {
            assert_eq!(option.to_string(), name);
            assert_eq!(name.parse::<T>(), Ok(option));
        }
        for name in ["", "NATIVE", " all", "other"] {
            let error = name.parse::<T>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("unknown name '{name}'; use '")), "{error}");
        }
    }

    #[test]
    fn options_parse_from_the_names_that_they_print() {
        check([(Engine::Native, "native"), (Engine::AwsEsdk, "aws-esdk")]);
        check([(EncryptFor::All, "all"), (EncryptFor::Available, "available")]);
    }
}
