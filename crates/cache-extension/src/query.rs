//! The fields of a query.

use std::borrow::Cow;

use hyper::StatusCode;

use crate::refusal::Refusal;

/// What a plus sign in a query means. Some clients encode blanks as forms do, and others leave the
/// plus signs of Base64 as they are, which URLs allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    Literal,
    Blank,
}

/// The fields of a query that were not taken yet.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str, plus: Plus) -> Result<Self, Refusal> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let query = match plus {
            Plus::Literal => Cow::Owned(query.replace('+', "%2B")),
            Plus::Blank => Cow::Borrowed(query),
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(bad(format!("{name} is given twice")));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.swap_remove(index).1)
    }

    pub(crate) fn switch(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad(format!("{name} must be true or false"))),
        }
    }

    /// Rejects remaining fields.
    pub(crate) fn end(self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(bad(format!("unknown field {name}"))),
        }
    }
}

pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, text)
}
