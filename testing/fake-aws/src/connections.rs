//! The connections of clients, which break or go silent on command.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Notify;

use crate::lock;

/// A connection of a client.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    is_silent: AtomicBool,
    broken: Notify,
}

impl Connection {
    /// Keeps the connection open without any further answer.
    pub(crate) fn go_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    /// Waits until the connection is to be reset.
    pub(crate) async fn broken(&self) {
        self.broken.notified().await;
    }
}

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Vec<Weak<Connection>>>);

impl Connections {
    pub(crate) fn open(&self) -> Arc<Connection> {
        let connection = Arc::<Connection>::default();
        let mut all = lock(&self.0);
        all.retain(|connection| connection.strong_count() > 0);
        all.push(Arc::downgrade(&connection));
        connection
    }

    pub(crate) fn silence(&self) {
        self.for_each(Connection::go_silent);
    }

    pub(crate) fn break_all(&self) {
        self.for_each(|connection| connection.broken.notify_one());
    }

    fn for_each(&self, act: impl Fn(&Connection)) {
        lock(&self.0).iter().filter_map(Weak::upgrade).for_each(|connection| act(&connection));
    }
}
