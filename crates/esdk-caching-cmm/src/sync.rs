//! What the crate shares and waits with. In one place, so that `tests/interleavings` can compile the
//! crate on a scheduler that explores the interleavings of threads.

use std::future::Future;

pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` on a thread that may block. It goes on if the returned future is dropped, which gives
/// `None` only if the runtime ends before `work` begins.
pub(crate) fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> {
    let task = tokio::task::spawn_blocking(work);
    async { task.await.ok() }
}

/// Whether [`spawn_blocking`] can be called here.
pub(crate) fn can_spawn() -> bool {
    Handle::try_current().is_ok()
}

/// Waits on this thread, which may be one of Tokio's workers: others can then use its place.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let wait = || futures::executor::block_on(future);
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}
