//! Locks, tasks and blocking waits. `tests/interleavings` replaces this module to compile the crate
//! on a scheduler that explores the interleavings of threads.

use std::future::Future;

pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};

use tokio::runtime::Handle;

/// Polls `future` to its end on the current runtime, if there is one.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(future);
    }
}

/// Whether [`spawn`] does anything here.
pub(crate) fn can_spawn() -> bool {
    Handle::try_current().is_ok()
}

#[cfg(feature = "aws-esdk")]
pub(crate) use blocking::{block_on, spawn_blocking, stalls_runtime};

#[cfg(feature = "aws-esdk")]
mod blocking {
    use std::future::Future;
    use std::panic::resume_unwind;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::mpsc::{self, SyncSender};
    use std::task::{Context, Poll, Wake, Waker};

    use tokio::runtime::{Handle, RuntimeFlavor};

    /// Runs `work` on a thread that may block. Unwinds if `work` panics, or if the runtime shuts
    /// down before it begins.
    pub(crate) async fn spawn_blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => resume_unwind(Box::new(cancelled)),
        })
    }

    /// Whether no other task of the current runtime makes progress while this thread waits.
    pub(crate) fn stalls_runtime() -> bool {
        let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
        matches!(flavor, Ok(RuntimeFlavor::CurrentThread))
    }

    /// Waits on this thread, which may be one of Tokio's workers: another takes its place.
    pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| drive(future)),
            _ => drive(future),
        }
    }

    /// Unlike the `block_on` of executors, this one may be nested in another.
    fn drive<T>(future: impl Future<Output = T>) -> T {
        let (wake, woken) = mpsc::sync_channel(1);
        let waker = Waker::from(Arc::new(Signal(wake)));
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            woken.recv().expect("the waker holds a sender");
        }
    }

    struct Signal(SyncSender<()>);

    impl Wake for Signal {
        fn wake(self: Arc<Self>) {
            // A full channel holds a signal already.
            let _ = self.0.try_send(());
        }
    }
}
