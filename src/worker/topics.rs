//! Looks at the topics, read and dead-letter ones: often until they are in order, then once in a while.

use std::sync::Arc;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::io::dead_letter::DeadLetters;

/// Time between two looks at topics that are in order.
const INTERVAL: Duration = Duration::from_mins(1);

/// What is told before the first look.
pub(super) const NOT_LOOKED_AT: &str = "the topics are not looked at yet";

/// A task that looks; ends when dropped.
pub(super) struct Watch {
    problems: watch::Receiver<Vec<String>>,
    _looking: JoinSet<()>,
}

impl Watch {
    pub(super) fn start(producer: Arc<DeadLetters>, config: &Config) -> Self {
        let mut topics = config.kafka.topics.clone();
        topics.extend(config.dead_letter_topics().into_values());
        topics.sort_unstable();
        topics.dedup();
        let (tell, problems) = watch::channel(vec![NOT_LOOKED_AT.to_owned()]);
        let mut looking = JoinSet::new();
        looking.spawn(look(producer, topics, tell));
        Self { problems, _looking: looking }
    }

    /// Waits until something has changed, and tells all that is wrong then.
    pub(super) async fn changed(&mut self) -> Vec<String> {
        if self.problems.changed().await.is_err() {
            return std::future::pending().await;
        }
        self.problems.borrow_and_update().clone()
    }
}

async fn look(producer: Arc<DeadLetters>, topics: Vec<String>, tell: watch::Sender<Vec<String>>) {
    let mut backoff = ExponentialBackoff {
        initial_interval: Duration::from_millis(500),
        max_interval: Duration::from_secs(30),
        max_elapsed_time: None, // its default is to give up after 15 minutes
        ..ExponentialBackoff::default()
    };
    loop {
        let problems = producer.topic_problems(&topics).await;
        let wait = if problems.is_empty() {
            backoff.reset();
            INTERVAL
        } else {
            backoff.next_backoff().unwrap_or(INTERVAL)
        };
        tell.send_if_modified(|told| {
            let news = *told != problems;
            *told = problems;
            news
        });
        tokio::time::sleep(wait).await;
    }
}
