//! Looks at the dead-letter topics: often until they are in order, then once in a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::io::dead_letter::DeadLetters;

/// Time between two looks at topics that are in order.
const INTERVAL: Duration = Duration::from_mins(1);

/// A task that looks; ends when dropped.
pub(super) struct Watch {
    problems: watch::Receiver<Vec<String>>,
    _looking: JoinSet<()>,
}

impl Watch {
    pub(super) fn start(producer: Arc<DeadLetters>, topics: BTreeMap<&str, String>) -> Self {
        let mut topics: Vec<String> = topics.into_values().collect();
        topics.sort_unstable();
        topics.dedup();
        let waiting = topics.iter().map(|topic| format!("dead-letter topic {topic}: not looked at yet")).collect();
        let (tell, problems) = watch::channel(waiting);
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
        let mut problems = Vec::new();
        for topic in &topics {
            let problem = producer.topic_problem(topic).await;
            problems.extend(problem.map(|problem| format!("dead-letter topic {topic}: {problem}")));
        }
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
