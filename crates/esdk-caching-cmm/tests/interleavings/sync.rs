//! The crate's `sync` module, on the exploring scheduler.

use std::future::Future;

pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};

pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(shuttle::future::spawn(future));
}

pub(crate) fn can_spawn() -> bool {
    true
}

#[cfg(feature = "aws-esdk")]
pub(crate) async fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    shuttle::future::spawn(async { work() }).await.expect("nothing aborts it")
}

#[cfg(feature = "aws-esdk")]
pub(crate) fn stalls_runtime() -> bool {
    false
}

#[cfg(feature = "aws-esdk")]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    shuttle::future::block_on(future)
}
