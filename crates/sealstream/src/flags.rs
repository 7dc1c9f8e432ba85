//! Values of flags that several commands share.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::value_parser;

/// Headings under which `--help` lists flags.
pub(crate) mod heading {
    pub(crate) const STREAM: &str = "Stream";
    pub(crate) const ENCRYPTION: &str = "Encryption";
    pub(crate) const OUTPUT: &str = "Output";
}

/// Parses one of `options` by its name, and lists them in the help.
pub(crate) fn one_of<T, const N: usize>(options: [T; N]) -> impl TypedValueParser<Value = T>
where
    T: Display + Clone + Send + Sync + 'static,
{
    let names = options.each_ref().map(ToString::to_string);
    PossibleValuesParser::new(names).map(move |name| {
        let named = options.iter().find(|option| option.to_string() == name);
        named.expect("clap has checked the name").clone()
    })
}

/// Parses a whole number of seconds within a range.
pub(crate) fn seconds(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = Duration> {
    value_parser!(u64).range(range).map(Duration::from_secs)
}
