//! The fields of a query.

use std::borrow::Cow;

use hyper::StatusCode;

use crate::refusal::Refusal;

/// The fields of a query that were not taken yet.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(crate) fn parse(query: &'a str) -> Result<Self, Refusal> {
        let mut fields: Vec<(Cow<'_, str>, _)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(bad(format!("{name} is given twice")));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
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
