//! Keeps credentials fresh: asks the source when the keeper says so, one question at a time, and passes the news on.
//! Decides nothing itself.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::keeper::{Keeper, News};
use super::source::Sources;
use crate::pipeline::time::Time;

/// News that wait for the loop. It is quicker than the sources, so one would do.
const MAX_WAITING: usize = 4;
/// Bound of one question with all that belongs to it: each of its requests has a bound of its own.
const QUESTION_TIMEOUT: Duration = Duration::from_mins(2);

/// What the loop is told.
#[derive(Clone, Debug)]
pub struct Told {
    /// What happened.
    pub news: Option<News>,
    /// Which source gives the credentials.
    pub source: Option<&'static str>,
    /// When the latest ones expire.
    pub expires_at: Option<SystemTime>,
    /// A sentence about this machine's clock, where it is off.
    pub skew: Option<String>,
}

/// A task that keeps credentials; ends when dropped.
#[derive(Debug)]
pub struct Refresher {
    told: mpsc::Receiver<Told>,
    wanted: Arc<Notify>,
    _keeping: JoinSet<()>,
}

impl Refresher {
    /// Begins to ask.
    #[must_use]
    pub fn start(sources: Sources) -> Self {
        let (tell, told) = mpsc::channel(MAX_WAITING);
        let wanted = Arc::new(Notify::new());
        let mut keeping = JoinSet::new();
        if sources.given().is_none() {
            keeping.spawn(keep(sources, tell, Arc::clone(&wanted)));
        }
        Self { told, wanted, _keeping: keeping }
    }

    /// Waits for news; for ever where credentials never change.
    pub async fn changed(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    /// OMS refuses the credentials: others are asked for soon.
    pub fn hurry(&self) {
        self.wanted.notify_one();
    }
}

#[expect(clippy::disallowed_methods, reason = "a shell: the clock that the keeper is given")]
async fn keep(mut sources: Sources, tell: mpsc::Sender<Told>, wanted: Arc<Notify>) {
    let start = Instant::now();
    let now = || Time::since_start(start.elapsed());
    let mut random = fastrand::Rng::new();
    let mut keeper = Keeper::new(now());
    let mut known = (None, None);
    loop {
        tokio::select! {
            () = tokio::time::sleep(keeper.next().since(now())) => {}
            () = wanted.notified() => keeper.hurry(now()),
        }
        let mut told = Vec::from_iter(keeper.expire(now()));
        let mut skew = None;
        if keeper.is_due(now()) {
            let answer = tokio::time::timeout(QUESTION_TIMEOUT, sources.obtain()).await;
            let answer = answer.unwrap_or_else(|_| Err(super::source::SourceError::Unavailable("no end".to_owned())));
            let polled = sources.taken().is_some_and(super::source::Source::is_polled);
            told.extend(match answer {
                Ok(obtained) => {
                    skew.clone_from(&obtained.skew);
                    keeper.obtained(obtained, polled, now(), &mut random)
                }
                Err(error) => keeper.failed(&error, polled, now(), &mut random),
            });
        }
        let source = sources.taken().map(super::source::Source::name);
        let about = (keeper.expires_at(), skew);
        if told.is_empty() && about == known {
            continue;
        }
        known.clone_from(&about);
        let (expires_at, skew) = about;
        let mut news: Vec<Option<News>> = told.into_iter().map(Some).collect();
        if news.is_empty() {
            news.push(None);
        }
        for news in news {
            if tell.send(Told { news, source, expires_at, skew: skew.clone() }).await.is_err() {
                return;
            }
        }
    }
}
