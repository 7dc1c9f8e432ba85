//! The services that values come from.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::entry::Source;
use crate::value::Loaded;

/// Most parameters of one request: the limit of GetParameters.
pub(crate) const PARAMETERS_AT_ONCE: usize = 10;
/// Most items of one request: the limit of BatchGetItem.
pub(crate) const ITEMS_AT_ONCE: usize = 100;

/// A source of values.
pub trait Upstream: Send + Sync + fmt::Debug {
    /// Loads up to ten parameters of one Region, or up to a hundred items of one Region. The results are
    /// in the order of the requests.
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>>;
}

/// A request for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it comes from.
    pub source: Source,
    /// How long it will be used.
    pub ttl: Duration,
    /// How fresh it has to be.
    pub freshness: Freshness,
}

/// The result of loading a value.
pub type Load = Result<Loaded, LoadError>;

/// How fresh a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A cached value that has not expired will do.
    Cached,
    /// The value has to come from its service.
    Latest,
}

/// Why a value could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The value does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The service refuses the request until an operator acts.
    #[error("{0}")]
    Refused(String),
    /// The same request may soon succeed: throttling, timeouts, network or service failures.
    #[error("{0}")]
    Unavailable(String),
}
