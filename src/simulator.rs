//! An OMS to test against: strict where OMS is (signature, ten keys an event, key encoding, known tasks), with faults
//! on demand and a ledger of what it accepted. Runs on a thread of its own; never part of a production worker.
//!
//! Besides OMS's own paths it serves `GET /_simulator/ledger` (see [`Ledger`]), `GET /_simulator/totals` (see
//! [`Totals`]) and `POST /_simulator/faults` (see [`Faults`]); none needs a signature.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::oms::credentials::Credentials;
use journal::Journal;

mod answer;
mod conditions;
mod event;
mod faults;
mod identity;
mod journal;
mod ledger;
mod server;
mod service;
mod signature;
mod tasks;

pub use faults::{Failure, Faults, Rule};
pub use identity::AccessKey;
pub use ledger::{Accepted, Ledger, Totals};
pub use tasks::{SimulatedTask, TaskStatus};

/// What a simulator is started with.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The one project that has tasks.
    pub project_id: String,
    /// Its tasks.
    pub tasks: Vec<SimulatedTask>,
    /// What requests must be signed with; `None` checks no signature.
    pub credentials: Option<Credentials>,
    /// Faults from the start.
    pub faults: Faults,
    /// Seed of ratios and jitter.
    pub seed: u64,
    /// File for a line of each accepted event, with which the ledger can be followed while it runs.
    pub journal: Option<PathBuf>,
}

/// Why the simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Listen(SocketAddr, std::io::Error),
    /// The journal cannot be written.
    #[error("cannot write the journal to {}: {}; choose another file with --journal", .0.display(), .1)]
    Journal(PathBuf, std::io::Error),
    /// The thread or its runtime cannot be made.
    #[error("cannot start the simulator's thread: {0}")]
    Thread(std::io::Error),
}

/// A running simulator. Ends when dropped.
pub struct Simulator {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Listens, and serves until [`Simulator::shutdown`] or drop.
    pub fn start(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        let create = |path: PathBuf| Journal::create(&path).map_err(|error| SimulatorError::Journal(path, error));
        let journal = config.journal.clone().map(create).transpose()?;
        let listen = config.listen;
        let refused = |error| SimulatorError::Listen(listen, error);
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(SimulatorError::Thread)?;
        let shared = Arc::new(Shared::new(config, journal));
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("oms-simulator".to_owned())
            .spawn(move || runtime.block_on(server::serve(listener, serving, stopped)))
            .map_err(SimulatorError::Thread)?;
        Ok(Self { addr, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has accepted so far; a copy.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.state().ledger.clone()
    }

    /// Sums over all requests so far; cheap, unlike [`Simulator::ledger`].
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.state().ledger.totals.clone()
    }

    /// Replaces the faults that `faults` names, from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.set_faults(faults);
    }

    /// Closes every connection and gives the final ledger.
    #[must_use]
    pub fn shutdown(mut self) -> Ledger {
        self.stop();
        std::mem::take(&mut self.shared.state().ledger)
    }

    fn stop(&mut self) {
        // Either end may be gone already; then there is nothing left to stop.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What all connections share. The lock is never held across an await.
struct Shared {
    project_id: String,
    state: Mutex<State>,
}

struct State {
    tasks: tasks::Tasks,
    conditions: conditions::Conditions,
    gatekeeper: identity::Gatekeeper,
    ledger: Ledger,
    journal: Option<Journal>,
}

impl Shared {
    fn new(config: SimulatorConfig, journal: Option<Journal>) -> Self {
        let state = State {
            tasks: tasks::Tasks::new(config.tasks),
            conditions: conditions::Conditions::new(config.seed),
            gatekeeper: identity::Gatekeeper::new(config.credentials),
            ledger: Ledger::default(),
            journal,
        };
        let shared = Self { project_id: config.project_id, state: Mutex::new(state) };
        shared.set_faults(config.faults);
        shared
    }

    #[expect(clippy::disallowed_methods, reason = "a server: quotas and the end of faults need the time")]
    fn set_faults(&self, mut faults: Faults) {
        let mut state = self.state();
        state.tasks.change(std::mem::take(&mut faults.tasks), &std::mem::take(&mut faults.remove_tasks));
        state.gatekeeper.change(&mut faults);
        state.conditions.change(faults, Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
