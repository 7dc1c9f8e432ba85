//! The open connections, and which of them are idle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections that wait for a request, by when they began to.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Number of times that a connection became idle.
    turns: u64,
    idle: BTreeMap<u64, Arc<Notify>>,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    connections: Arc<Connections>,
    close: Arc<Notify>,
    /// When it became idle.
    turn: Mutex<u64>,
}

impl Connections {
    /// Closes the connection that is idle for longest, if one is.
    pub(crate) fn close_idle(&self) {
        if let Some((_, close)) = self.lock().idle.pop_first() {
            close.notify_one();
        }
    }

    /// Adds a connection, which is idle until its first request.
    pub(crate) fn open(self: &Arc<Self>) -> Connection {
        let close = Arc::new(Notify::new());
        let turn = Mutex::new(self.wait(&close));
        Connection { connections: Arc::clone(self), close, turn }
    }

    fn wait(&self, close: &Arc<Notify>) -> u64 {
        let mut state = self.lock();
        state.turns += 1;
        let turn = state.turns;
        state.idle.insert(turn, Arc::clone(close));
        turn
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Returns when the connection should be closed.
    pub(crate) async fn is_closed(&self) {
        self.close.notified().await;
    }

    /// Keeps the connection open until the request is answered.
    pub(crate) fn begin(&self) -> Request<'_> {
        let turn = *self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.connections.lock().idle.remove(&turn);
        Request(self)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let turn = *self.turn.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.connections.lock().idle.remove(&turn);
    }
}

/// A request that is being answered.
pub(crate) struct Request<'a>(&'a Connection);

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let turn = self.0.connections.wait(&self.0.close);
        *self.0.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }
}
