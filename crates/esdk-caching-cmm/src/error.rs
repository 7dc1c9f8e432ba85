//! The error of a caching CMM.

use crate::suite::{AlgorithmSuiteId, CommitmentPolicy};

/// The reason for which a [`CachingCmm`](crate::CachingCmm) returned no materials. `E` is the
/// manager's own error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// The materials manager failed, or refused the request.
    #[error(transparent)]
    Manager(E),
    /// The request names a suite that its own commitment policy forbids.
    #[error("commitment policy {policy:?} forbids algorithm suite {suite}")]
    ForbiddenSuite {
        /// The suite of the request.
        suite: AlgorithmSuiteId,
        /// The policy of the request.
        policy: CommitmentPolicy,
    },
    /// The reader reproduced another value than the message's for a context pair.
    #[error("the message's encryption context differs from the reproduced context in {key:?}")]
    ReproducedContext {
        /// The key of the pair.
        key: String,
    },
    /// The call to the manager ended without an answer: the manager panicked, or the runtime that
    /// it needs is shutting down. Says nothing about the request.
    #[error("the call to the materials manager panicked or was cut off by a shutdown")]
    Unfinished,
    /// The cache holds materials of another manager's type under the id of this request: two CMMs
    /// with different managers share a partition id. Says nothing about the request.
    #[error("the cache holds another manager's materials; give each manager its own partition id")]
    SharedPartition,
}

impl<E> Error<E> {
    /// Returns `true` if the error is about this side, and says nothing about the request: a panic,
    /// a shutdown, or a wrong setup of the cache. Always `false` for an error of the manager, which
    /// tells for itself.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Unfinished | Self::SharedPartition)
    }
}
