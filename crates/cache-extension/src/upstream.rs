//! Where values come from.

use std::fmt;

use futures::future::BoxFuture;

use crate::entry::{Item, Parameter};
use crate::value::Loaded;

/// The most parameters that are asked for at once: GetParameters' limit.
pub const PARAMETERS_AT_ONCE: usize = 10;

/// The services that values come from.
pub trait Upstream: Send + Sync + fmt::Debug {
    /// Loads up to [`PARAMETERS_AT_ONCE`] parameters of one Region. The results have their order.
    fn parameters<'a>(
        &'a self,
        parameters: &'a [Parameter],
        want: Want,
    ) -> BoxFuture<'a, Vec<Load>>;

    /// Loads an item.
    fn item<'a>(&'a self, item: &'a Item, want: Want) -> BoxFuture<'a, Load>;
}

/// What came of loading a value.
pub type Load = Result<Loaded, LoadError>;

/// How new a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// One that another tier still has will do.
    Shared,
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
