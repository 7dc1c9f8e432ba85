//! What is cached: the file `config.yaml`.
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

/// The entries of a configuration file, in its order.
///
/// Items without a Region of their own are in `region`; entries without a `ttl` of their own have
/// `ttl`.
///
/// # Errors
/// The file cannot be read, or a field is not what it should be.
pub fn read(path: &Path, region: &str, ttl: Duration) -> Result<Vec<Entry>, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, region, ttl).map_err(|fault| fault.of_file(path))
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
struct Fault {
    line: u64,
    field: String,
    problem: String,
}

impl Fault {
    fn of_file(self, path: &Path) -> ConfigError {
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
    region: Text,
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
    region: Option<Text>,
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

/// How long a value is used.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Ttl(Duration);

impl TryFrom<String> for Ttl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        crate::settings::ttl(&text).map(Self)
    }
}

/// DynamoDB's types of key attributes.
#[derive(Clone, Copy, Deserialize)]
enum KeyType {
    S,
    N,
    B,
}

fn parse(text: &str, region: &str, ttl: Duration) -> Result<Vec<Entry>, Fault> {
    let file = deserialize(text)?;
    let mut entries = Entries::default();
    for (group, parameters) in file.parameters.unwrap_or_default().into_iter().enumerate() {
        let ttl = parameters.ttl.map_or(ttl, |ttl| ttl.0);
        for (index, name) in parameters.names.into_iter().enumerate() {
            let place = Place::new(name.referenced, format!("parameters[{group}].names[{index}]"));
            let region = parameters.region.0.clone();
            let source = Source::Parameter(Parameter { region, name: name.value.0 });
            entries.push(Entry { source, ttl }, place)?;
        }
    }
    for (index, fields) in file.dynamodb.unwrap_or_default().into_iter().enumerate() {
        let place = Place::new(fields.referenced, format!("dynamodb[{index}]"));
        let ttl = fields.value.ttl.map_or(ttl, |ttl| ttl.0);
        let source = Source::Item(item(fields.value, region, &place)?);
        entries.push(Entry { source, ttl }, place)?;
    }
    Ok(entries.entries)
}

fn deserialize(text: &str) -> Result<File, Fault> {
    let mut field = None;
    let parsed = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            // A value whose place is kept is, in the path, a field of its place.
            field = Some(error.path().to_string().replace(".value", ""));
            error.into_inner()
        })
    });
    parsed.map_err(|error| Fault {
        line: error.location().map_or(1, |location| location.line()),
        field: field.unwrap_or_else(|| ".".to_owned()),
        problem: error.without_snippet().to_string(),
    })
}

/// Where a field is.
struct Place {
    line: u64,
    field: String,
}

impl Place {
    fn new(location: Location, field: String) -> Self {
        Self { line: location.line(), field }
    }

    fn fault(self, problem: impl Into<String>) -> Fault {
        Fault { line: self.line, field: self.field, problem: problem.into() }
    }

    /// The place of a field of this.
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
    fn push(&mut self, entry: Entry, place: Place) -> Result<(), Fault> {
        if !self.seen.insert(entry.source.clone()) {
            return Err(place.fault(format!("{} is there twice; remove one", entry.source)));
        }
        self.entries.push(entry);
        Ok(())
    }
}

fn item(fields: ItemFields, region: &str, place: &Place) -> Result<Item, Fault> {
    let sort = match (fields.sortkey, fields.sortkeytype, fields.sortkeyvalue) {
        (None, None, None) => None,
        (Some(name), Some(key_type), Some(value)) => {
            Some(key_attribute(name, key_type, value, place.field("sortkeyvalue"))?)
        }
        _ => {
            let problem = "sortkey, sortkeytype and sortkeyvalue belong together; give all or none";
            return Err(place.field("sortkey").fault(problem));
        }
    };
    Ok(Item {
        region: fields.region.map_or_else(|| region.to_owned(), |region| region.0),
        table: fields.table.0,
        hash: key_attribute(
            fields.hashkey,
            fields.hashkeytype,
            fields.hashkeyvalue,
            place.field("hashkeyvalue"),
        )?,
        sort,
    })
}

fn key_attribute(
    name: Text,
    key_type: KeyType,
    value: Spanned<String>,
    place: Place,
) -> Result<KeyAttribute, Fault> {
    let place = Place::new(value.referenced, place.field);
    let text = value.value;
    if text.is_empty() {
        return Err(place.fault("it is empty"));
    }
    let value = match key_type {
        KeyType::S => KeyValue::Text(text),
        KeyType::N if is_number(&text) => KeyValue::Number(text),
        KeyType::N => return Err(place.fault("it is not a number, which the key's type N says")),
        KeyType::B => match BASE64_STANDARD.decode(&text) {
            Ok(bytes) => KeyValue::Binary { bytes, base64: text },
            Err(_) => return Err(place.fault("it is not Base64, which the key's type B asks for")),
        },
    };
    Ok(KeyAttribute { name: name.0, value })
}

/// DynamoDB has the last word on the digits.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests;
