//! Names of tables.

use std::fmt;
use std::str::FromStr;

/// The name of a table: 3 to 255 letters, digits and `_`, `-`, `.`.
///
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(String);

impl TableName {
    /// Returns the conventional name `<app>-cache-<env>`, such as `orders-cache-prod`.
    ///
    /// # Errors
    /// The result is not a valid table name.
    pub fn for_app(app: &str, env: &str) -> Result<Self, InvalidTableName> {
        format!("{app}-cache-{env}").parse()
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TableName {
    type Err = InvalidTableName;

    fn from_str(text: &str) -> Result<Self, InvalidTableName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if (3..=255).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTableName(text.to_owned()))
        }
    }
}

/// The text is not a valid table name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {0:?}: a table name has 3 to 255 letters, digits and _ - .")]
pub struct InvalidTableName(String);
