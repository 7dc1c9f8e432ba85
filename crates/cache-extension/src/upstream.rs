//! Where values come from.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::entry::Source;
use crate::value::Loaded;

/// The most parameters that are asked for at once: GetParameters' limit.
pub const PARAMETERS_AT_ONCE: usize = 10;

/// The services that values come from.
pub trait Upstream: Send + Sync + fmt::Debug {
    /// Loads up to [`PARAMETERS_AT_ONCE`] parameters of one Region, or one item. The results have
    /// the order of the requests.
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>>;
}

/// A value that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it comes from.
    pub source: Source,
    /// How long it will be used.
    pub ttl: Duration,
    /// How new it has to be.
    pub want: Want,
}

/// What came of loading a value.
pub type Load = Result<Loaded, LoadError>;

/// How new a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Its time must not be over.
    Fresh,
    /// It has to come from its service.
    Newest,
}

/// Why a value could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The service says that there is none.
    #[error("{0}")]
    NotFound(String),
    /// The service refuses, and will until an operator mends something.
    #[error("{0}")]
    Refused(String),
    /// The same request may soon succeed: throttling, time-outs, trouble on the network or in the
    /// service.
    #[error("{0}")]
    Unavailable(String),
}
