//! Every step that hangs is found when its time is up, and nothing else ever is.

use std::collections::BTreeMap;

use super::*;
use crate::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use crate::pipeline::inquiry::Standing;
use crate::pipeline::intake::{Incoming, Reject, RejectStage};
use crate::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use crate::pipeline::partition::PartitionName;
use crate::pipeline::record::Record;
use crate::pipeline::settings::Settings;
use crate::pipeline::{Assigned, CommitError, Effect, Effects, Input, Pipeline};

const STALL: Duration = Duration::from_mins(5);
const SECOND: Duration = Duration::from_secs(1);

/// How each thing that the pipeline asks for ends, and after what time; `None` where it never does.
type Ends = fn(&Effect, &mut fastrand::Rng) -> Option<(Duration, Input)>;

/// A pipeline, its watchdog, and the world around them in virtual time.
struct Rig {
    pipeline: Pipeline,
    watchdog: Watchdog,
    now: Time,
    agenda: BTreeMap<(Time, u64), Input>,
    serial: u64,
    offset: i64,
    ends: Ends,
    random: fastrand::Rng,
    last_poll: fn(Time) -> Time,
    polls: bool,
}

fn watchdog() -> Watchdog {
    Watchdog {
        stall_timeout: STALL,
        submission_timeout: Duration::from_secs(30),
        broker_timeout: Duration::from_mins(1),
        heard: Time::START,
        undelivered: None,
        looked: Time::START,
        awake: Time::START,
        stall: None,
    }
}

fn name() -> PartitionName {
    PartitionName { topic: "t".into(), partition: 0 }
}

fn answer(verdict: Verdict, status: Status, retry_after: Option<Duration>) -> Answer {
    Answer { verdict, status, retry_after, error_code: None, error_message: None, request_id: None }
}

impl Rig {
    fn new(ends: Ends) -> Self {
        let mut rig = Self {
            pipeline: Pipeline::new(Settings { max_unsettled_changes: 500, ..Settings::default() }),
            watchdog: watchdog(),
            now: Time::START,
            agenda: BTreeMap::new(),
            serial: 0,
            offset: 0,
            ends,
            random: fastrand::Rng::with_seed(1),
            last_poll: |now| now,
            polls: true,
        };
        rig.step(Input::Assigned(vec![Assigned { name: name(), epoch: 1, committed: Some(0) }]));
        rig
    }

    fn step(&mut self, input: Input) {
        let mut effects = Effects::default();
        self.pipeline.step(self.now, input, &mut effects);
        for effect in effects.actions {
            if let Some((wait, input)) = (self.ends)(&effect, &mut self.random) {
                self.serial += 1;
                self.agenda.insert((self.now.after(wait), self.serial), input);
            }
        }
    }

    /// One record for each of two tasks, and one that cannot be read.
    fn read(&mut self) {
        if self.pipeline.is_full() {
            return;
        }
        let records = ["a", "b", ""].map(|task| {
            let record = Record::at("t", 0, self.offset);
            self.offset += 1;
            let key = EncodedKey::encode(&self.offset.to_string(), KeyEncoding::Percent).unwrap();
            let changes = TaskId::new(task).map(|task| (task, key)).into_iter().collect();
            let reject = Reject { stage: RejectStage::Decode, reason: "invalid_json", key: None };
            let rejects = if task.is_empty() { vec![reject] } else { Vec::new() };
            (1, Incoming::new(&record, changes, rejects))
        });
        self.step(Input::Records(records.into()));
    }

    /// Everything that happens until the next look.
    fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        loop {
            let due = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let wakeup = self.pipeline.next_wakeup();
            let Some(next) = due.into_iter().chain(wakeup).min().filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            let first = self.agenda.first_entry().filter(|first| first.key().0 <= self.now);
            let input = first.map_or(Input::Tick, std::collections::btree_map::OccupiedEntry::remove);
            self.step(input);
        }
        self.now = until;
    }

    fn look(&mut self) -> Option<String> {
        if self.polls {
            self.watchdog.heard(None, self.now);
        }
        let (report, last_poll) = (self.pipeline.report(), (self.last_poll)(self.now));
        self.watchdog.look(&report, last_poll, self.now).map(str::to_owned)
    }

    /// Looks every second, and when the first stall is found.
    fn until_stalled(&mut self, within: Duration) -> Option<(Duration, String)> {
        while self.now < Time::since_start(within) {
            self.read();
            self.pass(SECOND);
            if let Some(stall) = self.look() {
                return Some((self.now.since(Time::START), stall));
            }
        }
        None
    }
}

/// Everything goes well.
fn well(effect: &Effect, random: &mut fastrand::Rng) -> Option<(Duration, Input)> {
    let soon = Duration::from_millis(random.u64(1..50));
    let input = match effect {
        Effect::Submit { id, .. } => Input::Answered(*id, answer(Verdict::Accepted, Status::Http(200), None)),
        Effect::AskTask(task) => Input::TaskStands(task.clone(), Standing::Active),
        Effect::DeadLetter(id, _) => Input::LetterDone(*id, true),
        Effect::Commit(_) => Input::Committed(Ok(())),
        _ => return None,
    };
    Some((soon, input))
}

/// Every submission ends like this.
fn submissions(
    effect: &Effect,
    random: &mut fastrand::Rng,
    took: Duration,
    answer: Answer,
) -> Option<(Duration, Input)> {
    match effect {
        Effect::Submit { id, .. } => Some((took, Input::Answered(*id, answer))),
        _ => well(effect, random),
    }
}

#[test]
fn holds_outages_quotas_and_stopped_tasks_of_twice_the_stall_timeout_are_no_stall() {
    const MS: Duration = Duration::from_millis(20);
    const HTTP: fn(u16) -> Status = Status::Http;
    let cases: [(&str, Ends); 11] = [
        ("all is well", well),
        ("credentials refused", |effect, random| {
            submissions(effect, random, MS, answer(Verdict::Hold(HoldReason::Credentials), HTTP(401), None))
        }),
        ("another server", |effect, random| {
            submissions(effect, random, MS, answer(Verdict::Hold(HoldReason::Endpoint), HTTP(405), None))
        }),
        ("a task forbidden", |effect, random| match effect {
            Effect::Submit { task, .. } if task.as_str() == "a" => {
                submissions(effect, random, MS, answer(Verdict::Hold(HoldReason::Permission), HTTP(403), None))
            }
            _ => well(effect, random),
        }),
        ("a task stopped", |effect, random| match effect {
            Effect::Submit { task, .. } if task.as_str() == "a" => {
                submissions(effect, random, MS, answer(Verdict::TaskStopped, HTTP(400), None))
            }
            _ => well(effect, random),
        }),
        ("an outage of answers", |effect, random| {
            submissions(effect, random, MS, answer(Verdict::Busy(Pressure::Overloaded), HTTP(503), None))
        }),
        ("an outage of silence", |effect, random| {
            let took = Duration::from_secs(30); // oms.request_timeout
            submissions(effect, random, took, answer(Verdict::Busy(Pressure::Overloaded), Status::Timeout, None))
        }),
        ("a quota of nothing", |effect, random| {
            let wait = Some(Duration::from_mins(5)); // retry.max_retry_after
            submissions(effect, random, MS, answer(Verdict::Busy(Pressure::Throttled), HTTP(429), wait))
        }),
        ("letters that cannot be written", |effect, random| match effect {
            Effect::DeadLetter(id, _) => Some((DELIVERY_TIMEOUT, Input::LetterDone(*id, false))),
            _ => well(effect, random),
        }),
        ("commits that time out", |effect, random| match effect {
            Effect::Commit(_) => Some((Duration::from_mins(1), Input::Committed(Err(CommitError::Failed)))),
            _ => well(effect, random),
        }),
        ("a coordinator that fences", |effect, random| match effect {
            Effect::Commit(_) => Some((MS, Input::Committed(Err(CommitError::Fenced)))),
            _ => well(effect, random),
        }),
    ];
    for (what, ends) in cases {
        assert_eq!(Rig::new(ends).until_stalled(2 * STALL + STALL), None, "{what}");
    }
}

#[test]
fn each_step_that_never_ends_is_found_once_its_own_timeout_and_the_stall_timeout_have_passed() {
    let cases: [(&str, Duration, Ends); 3] = [
        ("a request to OMS has no end", Duration::from_secs(30), |effect, random| match effect {
            Effect::Submit { .. } => None,
            _ => well(effect, random),
        }),
        ("a dead letter has no delivery report", DELIVERY_TIMEOUT, |effect, random| match effect {
            Effect::DeadLetter(..) => None,
            _ => well(effect, random),
        }),
        ("a commit has no result", COMMIT_TIMEOUT, |effect, random| match effect {
            Effect::Commit(_) => None,
            _ => well(effect, random),
        }),
    ];
    for (expected, own, ends) in cases {
        let (after, stall) = Rig::new(ends).until_stalled(4 * STALL).unwrap_or_else(|| panic!("not found: {expected}"));
        assert!(stall.starts_with(expected), "{stall}");
        assert!(after > own + STALL && after < own + STALL + 4 * SECOND, "{expected}: after {after:?}");
    }
}

#[test]
fn one_request_of_many_that_never_ends_is_found_and_when_it_ends_the_stall_is_over() {
    let mut rig = Rig::new(|effect, random| match effect {
        Effect::Submit { id: 0, .. } => {
            let late = answer(Verdict::Accepted, Status::Http(200), None);
            Some((Duration::from_mins(10), Input::Answered(0, late)))
        }
        _ => well(effect, random),
    });
    assert!(rig.until_stalled(3 * STALL).is_some());
    while rig.look().is_some() {
        assert!(rig.now < Time::since_start(4 * STALL), "it has ended, and the stall has not");
        rig.read();
        rig.pass(SECOND);
    }
}

#[test]
fn a_thread_that_does_not_poll_and_a_client_that_tells_nothing_are_found() {
    let mut rig = Rig::new(well);
    rig.last_poll = |now| now.min(Time::since_start(SECOND));
    let (after, stall) = rig.until_stalled(2 * STALL).unwrap();
    assert!(
        stall.starts_with("the Kafka client has not polled for") && after < STALL + 4 * SECOND,
        "{after:?} {stall}"
    );

    let mut rig = Rig::new(well);
    rig.polls = false;
    let (after, stall) = rig.until_stalled(2 * STALL).unwrap();
    assert!(stall.starts_with("the Kafka client tells nothing of itself for"), "{stall}");
    assert!(after < STALL + STATISTICS_INTERVAL + 4 * SECOND, "{after:?}");
}

#[test]
fn what_the_client_does_not_deliver_is_found_and_named() {
    let mut dog = watchdog();
    let mut rig = Rig::new(well);
    let report = rig.pipeline.report();
    let since = Time::since_start(SECOND);
    let own = dog.broker_timeout * ASKED_AGAIN;
    for (symptom, names) in [
        (Symptom::NotDelivered(name()), "t[0]"),
        (Symptom::Silent(name()), "t[0]"),
        (Symptom::Queued, ""),
        (Symptom::Still("kafka:9092/1".to_owned()), "kafka:9092/1"),
    ] {
        #[expect(clippy::disallowed_methods, reason = "only described")]
        let told = describe(&Undelivered { symptom, since: std::time::Instant::now() });
        let mut look = |now: Time, undelivered| {
            dog.heard(undelivered, now);
            dog.looked = now; // a second before
            dog.look(&report, now, now).map(str::to_owned)
        };
        assert_eq!(look(since.after(own + STALL), Some((told.clone(), since))), None);
        let stall = look(since.after(own + STALL + SECOND), Some((told.clone(), since)));
        assert_eq!(stall, Some(format!("{told} for 421 s")));
        assert!(told.contains(names), "{told}");
        assert_eq!(look(since.after(own + STALL + SECOND), None), None, "it is over");
    }
}

#[test]
fn a_process_that_was_stopped_for_an_hour_is_not_stalled_when_it_goes_on() {
    let mut rig = Rig::new(|_, _| None); // nothing ends
    rig.read();
    rig.pass(SECOND);
    assert_eq!(rig.look(), None);
    rig.now = rig.now.after(Duration::from_hours(1));
    assert_eq!(rig.look(), None, "nothing could end");
    let (after, _) = rig.until_stalled(Duration::from_hours(2)).unwrap();
    assert!(after > Duration::from_hours(1) + STALL, "but then it should: {after:?}");
}
