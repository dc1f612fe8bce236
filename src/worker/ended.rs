//! How a worker ends: as it was asked to, or because something failed for good; and how it leaves its group.

use tracing::{info, warn};

use crate::io::admin::AdminError;
use crate::io::consumer::{Command, ConsumerEvent, StartError};
use crate::io::fault::Fault;
use crate::oms::client::OmsClientError;
use crate::oms::credentials::{AskerError, CredentialsError};
use crate::oms::trust::TrustError;

use super::Worker;

/// How a worker ended that was asked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Everything under way was settled and committed, or left alone on purpose.
    Drained,
    /// Time was up, or a second signal came, with a request or a dead letter unanswered.
    DeadlinePassed,
}

/// Why there is no worker, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The consumer.
    #[error(transparent)]
    Consumer(#[from] StartError),
    /// The dead-letter producer.
    #[error("the dead-letter producer refused its configuration: {0}; check kafka.properties")]
    Producer(Fault),
    /// The OMS client.
    #[error(transparent)]
    Oms(#[from] OmsClientError),
    /// The file of trust anchors.
    #[error("oms.ca_file {path}: {source}")]
    CaFile {
        /// Its path.
        path: String,
        /// Why.
        source: TrustError,
    },
    /// Credentials that cannot be used.
    #[error("oms.credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// The client that asks for credentials.
    #[error(transparent)]
    Asker(#[from] AskerError),
    /// The admin server.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The metrics.
    #[error("metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Kafka will deliver nothing more to this process.
    #[error("Kafka: {0}; the process ends so that a new one can start")]
    Kafka(Fault),
    /// The polling thread is gone.
    #[error("the Kafka consumer's thread ended by itself")]
    ConsumerGone,
}

impl Worker {
    /// Leaves the group, so that others need not wait for this member's session to end.
    pub(super) async fn leave(&mut self, unanswered: usize) -> Ended {
        self.publish();
        self.consumer.send(Command::Close);
        let closed = async {
            while let Some(event) = self.events.recv().await {
                if matches!(event, ConsumerEvent::Closed) {
                    return;
                }
            }
        };
        if tokio::time::timeout(self.leave_timeout, closed).await.is_err() {
            warn!("leaving the group takes too long; its coordinator will notice by itself");
        }
        if unanswered > 0 {
            warn!(unanswered, "time is up: these requests and dead letters were not answered and will be repeated");
            return Ended::DeadlinePassed;
        }
        info!("drained");
        Ended::Drained
    }
}
