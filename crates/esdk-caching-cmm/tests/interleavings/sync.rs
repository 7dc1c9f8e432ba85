//! The crate's `sync` module, on the exploring scheduler.

use std::cell::Cell;
use std::future::Future;

pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};

thread_local! {
    /// Tasks that have not ended. An execution runs on one thread of the operating system.
    static TASKS: Cell<usize> = const { Cell::new(0) };
}

pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    TASKS.set(TASKS.get() + 1);
    drop(shuttle::future::spawn(async {
        future.await;
        TASKS.set(TASKS.get() - 1);
    }));
}

/// Waits until every spawned task has ended. An execution that ends before would drop a task in the
/// middle of its work.
pub(crate) fn settle() {
    while TASKS.get() > 0 {
        shuttle::thread::yield_now();
    }
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
