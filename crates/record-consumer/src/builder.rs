//! Setting up a [`Consumer`].

use std::time::SystemTime;

use crate::consumer::Consumer;
use crate::item::MAX_NAME_BYTES;
use crate::key_attributes::KeyAttributes;
use crate::quarantine::Quarantine;
use crate::reader::Decrypt;
use crate::schema::Schema;
use crate::setup_error::SetupError;
use crate::stats::Counters;
use crate::table::Table;
use crate::version::{VersionFrom, VersionRule};

/// Sets up a [`Consumer`]. Everything is checked in [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct ConsumerBuilder {
    decrypt: Box<dyn Decrypt>,
    table: Box<dyn Table>,
    key: KeyAttributes,
    quarantine: Option<Box<dyn Quarantine>>,
    version_attribute: Option<String>,
    version_from: VersionFrom,
    trace_attribute: Option<String>,
    now: fn() -> SystemTime,
}

impl ConsumerBuilder {
    pub(crate) fn new(
        decrypt: impl Decrypt + 'static,
        table: impl Table + 'static,
        key: KeyAttributes,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only place where logic gets its clock")]
        let now = SystemTime::now;
        Self {
            decrypt: Box::new(decrypt),
            table: Box::new(table),
            key,
            quarantine: None,
            version_attribute: None,
            version_from: VersionFrom::default(),
            trace_attribute: None,
            now,
        }
    }

    /// Stores records that can never be written, instead of reporting them as failed.
    pub fn quarantine(mut self, quarantine: impl Quarantine + 'static) -> Self {
        self.quarantine = Some(Box::new(quarantine));
        self
    }

    /// Writes an item only if the version in this attribute is higher than that of the table's item.
    /// Each item then costs a request of its own.
    ///
    /// Versions are numbers, or times such as `2026-01-31T12:00:00.000Z`.
    pub fn version_attribute(mut self, name: impl Into<String>) -> Self {
        self.version_attribute = Some(name.into());
        self
    }

    /// Chooses where versions come from; by default, records have them. Matters only with a
    /// [version attribute](Self::version_attribute), and needs one if it is set.
    pub fn version_from(mut self, from: VersionFrom) -> Self {
        self.version_from = from;
        self
    }

    /// Logs the trace ids of records that have a W3C traceparent in this attribute.
    pub fn trace_attribute(mut self, name: impl Into<String>) -> Self {
        self.trace_attribute = Some(name.into());
        self
    }

    /// Replaces the system's clock, which gives quarantined records their time.
    pub fn clock(mut self, now: fn() -> SystemTime) -> Self {
        self.now = now;
        self
    }

    /// Builds the consumer. Makes no AWS calls.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is not allowed.
    pub fn build(self) -> Result<Consumer, SetupError> {
        check_name(self.version_attribute.as_deref(), SetupError::VersionAttribute)?;
        check_name(self.trace_attribute.as_deref(), SetupError::TraceAttribute)?;
        let version = self.version_rule()?;
        Ok(Consumer {
            decrypt: self.decrypt,
            table: self.table,
            schema: Schema { key: self.key, version },
            quarantine: self.quarantine,
            trace_attribute: self.trace_attribute,
            now: self.now,
            counters: Counters::default(),
        })
    }
}

impl ConsumerBuilder {
    fn version_rule(&self) -> Result<Option<VersionRule>, SetupError> {
        match &self.version_attribute {
            Some(name) if self.key.iter().any(|key| key.name == *name) => {
                Err(SetupError::VersionIsKey(name.clone()))
            }
            Some(name) => {
                Ok(Some(VersionRule { attribute: name.clone(), from: self.version_from }))
            }
            None if self.version_from == VersionFrom::SequenceNumber => {
                Err(SetupError::NoVersionAttribute)
            }
            None => Ok(None),
        }
    }
}

fn check_name(name: Option<&str>, error: fn(String) -> SetupError) -> Result<(), SetupError> {
    match name {
        Some(name) if !(1..=MAX_NAME_BYTES).contains(&name.len()) => Err(error(name.to_owned())),
        _ => Ok(()),
    }
}
