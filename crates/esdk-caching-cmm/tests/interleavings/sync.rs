//! The crate's `sync` module, on the exploring scheduler.

use std::future::Future;

pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};

pub(crate) fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> {
    let task = shuttle::future::spawn(async { work() });
    async { task.await.ok() }
}

pub(crate) fn can_spawn() -> bool {
    true
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    shuttle::future::block_on(future)
}
