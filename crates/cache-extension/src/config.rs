//! The configuration file `config.yaml`, which names the entries to cache.
//!
//! Its shape is that of AWS's demonstration, `cache-extension-demo` in
//! <https://github.com/aws-samples/aws-lambda-extensions>, with two more fields: `ttl`, and `region`
//! of an item.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use crate::entry::{Entry, Item, KeyAttribute, KeyValue, Parameter, Source};

/// Reads the entries of a configuration file in their order.
///
/// Items without a Region of their own are in `region`; entries without a `ttl` of their own have
/// `ttl`.
///
/// # Errors
/// The file cannot be read, or a field is not what it should be.
pub fn read(path: &Path, region: &str, ttl: Duration) -> Result<Vec<Entry>, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, region, ttl).map_err(|field| field.in_file(path))
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file, or it may not be read.
    #[error("{path} cannot be read: {source}; it belongs beside the function's code")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A field is wrong, missing, or unknown.
    #[error("{path}:{line}: {field}: {problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The field, such as `dynamodb[0].hashkey`.
        field: String,
        /// What was expected.
        problem: String,
    },
}

#[derive(Debug)]
struct InvalidField {
    line: u64,
    field: String,
    problem: String,
}

impl InvalidField {
    fn in_file(self, path: &Path) -> ConfigError {
        let Self { line, field, problem } = self;
        ConfigError::Invalid { path: path.to_owned(), line, field, problem }
    }
}

/// A section without entries is null.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    parameters: Option<Vec<Parameters>>,
    #[serde(default)]
    dynamodb: Option<Vec<Spanned<ItemFields>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    region: Region,
    names: Vec<Spanned<Text>>,
    ttl: Option<Ttl>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemFields {
    table: Text,
    hashkey: Text,
    hashkeytype: KeyType,
    hashkeyvalue: Spanned<String>,
    sortkey: Option<Text>,
    sortkeytype: Option<KeyType>,
    sortkeyvalue: Option<Spanned<String>>,
    region: Option<Region>,
    ttl: Option<Ttl>,
}

/// A text that is not empty.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Text(String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Err("it is empty") } else { Ok(Self(text)) }
    }
}

/// The name of an AWS Region.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Region(String);

impl TryFrom<String> for Region {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (words, number) = text.rsplit_once('-').unwrap_or_default();
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if words.contains('-') && words.split('-').all(is_word) && is_number {
            Ok(Self(text))
        } else {
            Err("an AWS Region looks like eu-west-1")
        }
    }
}

/// How long a value is used.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Ttl(Duration);

impl TryFrom<String> for Ttl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        crate::settings::parse_ttl(&text).map(Self)
    }
}

/// DynamoDB's types of key attributes.
#[derive(Clone, Copy, Deserialize)]
enum KeyType {
    S,
    N,
    B,
}

fn parse(text: &str, region: &str, ttl: Duration) -> Result<Vec<Entry>, InvalidField> {
    let file = deserialize(text)?;
    let mut entries = Entries::default();
    for (group, parameters) in file.parameters.unwrap_or_default().into_iter().enumerate() {
        let ttl = parameters.ttl.map_or(ttl, |ttl| ttl.0);
        for (index, name) in parameters.names.into_iter().enumerate() {
            let position =
                Position::new(name.referenced, format!("parameters[{group}].names[{index}]"));
            let region = parameters.region.0.clone();
            let source = Source::Parameter(Parameter { region, name: name.value.0 });
            entries.push(Entry { source, ttl }, position)?;
        }
    }
    for (index, fields) in file.dynamodb.unwrap_or_default().into_iter().enumerate() {
        let position = Position::new(fields.referenced, format!("dynamodb[{index}]"));
        let ttl = fields.value.ttl.map_or(ttl, |ttl| ttl.0);
        let source = Source::Item(item(fields.value, region, &position)?);
        entries.push(Entry { source, ttl }, position)?;
    }
    Ok(entries.entries)
}

fn deserialize(text: &str) -> Result<File, InvalidField> {
    let mut field = None;
    let parsed = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            // In the path, a value with a position is a field of that position.
            field = Some(error.path().to_string().replace(".value", "").replace(".?", ""));
            error.into_inner()
        })
    });
    parsed.map_err(|error| InvalidField {
        line: error.location().map_or(1, |location| location.line()),
        field: field.unwrap_or_else(|| ".".to_owned()),
        problem: yaml::problem(&error),
    })
}

/// The position of a field in the file.
struct Position {
    line: u64,
    field: String,
}

impl Position {
    fn new(location: Location, field: String) -> Self {
        Self { line: location.line(), field }
    }

    fn invalid(self, problem: impl Into<String>) -> InvalidField {
        InvalidField { line: self.line, field: self.field, problem: problem.into() }
    }

    /// The position of a field within this one.
    fn field(&self, name: &str) -> Self {
        Self { line: self.line, field: format!("{}.{name}", self.field) }
    }
}

#[derive(Default)]
struct Entries {
    entries: Vec<Entry>,
    seen: HashSet<Source>,
}

impl Entries {
    fn push(&mut self, entry: Entry, position: Position) -> Result<(), InvalidField> {
        if !self.seen.insert(entry.source.clone()) {
            return Err(position.invalid(format!("{} is given twice; remove one", entry.source)));
        }
        self.entries.push(entry);
        Ok(())
    }
}

fn item(fields: ItemFields, region: &str, position: &Position) -> Result<Item, InvalidField> {
    let sort = match (fields.sortkey, fields.sortkeytype, fields.sortkeyvalue) {
        (None, None, None) => None,
        (Some(name), Some(key_type), Some(value)) => {
            Some(key_attribute(name, key_type, value, position.field("sortkeyvalue"))?)
        }
        _ => {
            let problem = "sortkey, sortkeytype and sortkeyvalue belong together; give all or none";
            return Err(position.field("sortkey").invalid(problem));
        }
    };
    Ok(Item {
        region: fields.region.map_or_else(|| region.to_owned(), |region| region.0),
        table: fields.table.0,
        hash: key_attribute(
            fields.hashkey,
            fields.hashkeytype,
            fields.hashkeyvalue,
            position.field("hashkeyvalue"),
        )?,
        sort,
    })
}

fn key_attribute(
    name: Text,
    key_type: KeyType,
    value: Spanned<String>,
    position: Position,
) -> Result<KeyAttribute, InvalidField> {
    let position = Position::new(value.referenced, position.field);
    let text = value.value;
    if text.is_empty() {
        return Err(position.invalid("it is empty"));
    }
    let value = match key_type {
        KeyType::S => KeyValue::Text(text),
        KeyType::N if is_number(&text) => KeyValue::Number(text),
        KeyType::N => {
            return Err(position.invalid("it is not a number, which the key's type N says"));
        }
        KeyType::B => match BASE64_STANDARD.decode(&text) {
            Ok(bytes) => KeyValue::Binary { bytes, base64: text },
            Err(_) => {
                return Err(position.invalid("it is not Base64, which the key's type B asks for"));
            }
        },
    };
    Ok(KeyAttribute { name: name.0, value })
}

/// DynamoDB has the last word on the digits.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

mod yaml;

#[cfg(test)]
mod tests;
