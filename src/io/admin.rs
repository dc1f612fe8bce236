//! The HTTP server for metrics and probes: `/metrics`, `/livez`, `/readyz`, `/status`.
//!
//! It has a thread and a runtime of its own, so that it answers when the loop is stuck. It reads the shared [`AdminState`]
//! and never asks the loop. It takes nothing in: bodies are not read, and a connection serves one request.

mod serve;
mod state;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::metrics::Metrics;

pub use serve::{CONNECTION_TIMEOUT, MAX_CONNECTIONS};
pub use state::AdminState;

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("admin.listen: cannot listen on {addr}: {source}; free the port or write another one")]
pub struct AdminError {
    addr: SocketAddr,
    source: std::io::Error,
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Admin {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Binds the address (port 0 takes a free one) and serves until dropped.
    ///
    /// # Errors
    /// The port is taken or not allowed, or there is no thread to be had.
    pub fn start(addr: SocketAddr, state: Arc<AdminState>, metrics: Arc<Metrics>) -> Result<Self, AdminError> {
        let refuse = |source| AdminError { addr, source };
        let listener = TcpListener::bind(addr).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let bound = listener.local_addr().map_err(refuse)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refuse)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = serve::accept(listener, state, metrics) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(serve).map_err(refuse)?;
        Ok(Self { addr: bound, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin server ended with a panic");
        }
    }
}
