//! The worker that the demo is about: the real one, configured as anybody would, on a thread of its own. It is told
//! nothing of the demo but addresses.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::commands::generate::bucket_name;
use crate::config::{self, Config, PREFIX};
use crate::io::signal::Ending;
use crate::worker::{Ended, Worker, WorkerError};

use super::plan::BUCKETS;
use super::{ACCESS_KEY, GROUP, PROJECT, SECRET_KEY, TOPIC};

/// A running worker. Goes on when this is dropped: only the process's end ends it then.
pub(super) struct Subject {
    /// Where its admin server listens.
    pub(super) admin: SocketAddr,
    endings: UnboundedSender<Ending>,
    thread: JoinHandle<Result<Ended, WorkerError>>,
}

impl Subject {
    pub(super) fn start(brokers: &str, oms: SocketAddr, listen: SocketAddr) -> anyhow::Result<Self> {
        let config = configuration(brokers, oms, listen)?;
        let (endings, asked) = unbounded_channel();
        let (tell, started) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("the worker's runtime cannot be made")?;
        let thread = std::thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || work(runtime, &config, asked, &tell))
            .context("the worker's thread cannot be started")?;
        match started.recv() {
            Ok(admin) => Ok(Self { admin, endings, thread }),
            Err(_) => Err(match thread.join() {
                Ok(Err(WorkerError::Admin(refused))) => anyhow::Error::new(refused).context("choose another --listen"),
                Ok(Err(refused)) => anyhow::Error::new(refused),
                Ok(Ok(_)) | Err(_) => anyhow!("the worker ended before it began"),
            }),
        }
    }

    /// Whether it ended though nobody asked it to.
    pub(super) fn is_gone(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks it to drain and waits until it has.
    pub(super) fn drain(self) -> anyhow::Result<Ended> {
        // Fails only if the worker is gone; then its result says why.
        self.endings.send(Ending::Drain).ok();
        let ended = self.thread.join().map_err(|_| anyhow!("the worker's thread panicked; please report it"))?;
        ended.context("the worker ended by itself")
    }
}

fn work(
    runtime: Runtime,
    config: &Config,
    mut asked: UnboundedReceiver<Ending>,
    tell: &mpsc::Sender<SocketAddr>,
) -> Result<Ended, WorkerError> {
    let ended = runtime.block_on(async {
        let worker = Worker::start(config)?;
        // Nobody may wait for it any more; the worker runs all the same.
        tell.send(worker.admin_addr()).ok();
        let next = async || match asked.recv().await {
            Some(ending) => ending,
            None => std::future::pending().await,
        };
        worker.run(next).await
    });
    runtime.shutdown_background();
    ended
}

fn configuration(brokers: &str, oms: SocketAddr, listen: SocketAddr) -> anyhow::Result<Config> {
    let routes: Vec<_> = (0..BUCKETS.into())
        .map(|number| json!({ "task": task_of(&bucket_name(number)), "bucket": bucket_name(number) }))
        .collect();
    let settings = [
        ("KAFKA__BROKERS", brokers.to_owned()),
        ("KAFKA__TOPICS", TOPIC.to_owned()),
        ("KAFKA__GROUP_ID", GROUP.to_owned()),
        ("OMS__ENDPOINT", format!("http://{oms}")),
        ("OMS__PROJECT_ID", PROJECT.to_owned()),
        ("OMS__CREDENTIALS__ACCESS_KEY", ACCESS_KEY.to_owned()),
        ("OMS__CREDENTIALS__SECRET_KEY", SECRET_KEY.to_owned()),
        // Shorter than the defaults, so that the outage is over within the demo's time.
        ("OMS__REQUEST_TIMEOUT", "1s".to_owned()),
        ("RETRY__MAX", "2s".to_owned()),
        ("ROUTES", json!(routes).to_string()),
        ("ADMIN__LISTEN", listen.to_string()),
    ];
    let environment = settings.map(|(name, value)| (format!("{PREFIX}{name}"), value));
    let loaded =
        config::load(None, environment).context("the demo's own configuration is refused; please report it")?;
    Ok(loaded.config)
}

/// The task of a bucket.
pub(super) fn task_of(bucket: &str) -> String {
    format!("task-of-{bucket}")
}
