//! One blocked task among eight, at 2,000 records a second: what the others lose, when the bounds are reached, and what is
//! left of it once the hold ends. The arithmetic is that of `docs/operations.md`, "One blocked task".

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::answer::Verdict;
use super::super::budget::CHANGE_BYTES;
use super::super::key::{EncodedKey, KeyEncoding};
use super::super::record::Record;
use super::super::*;
use super::world::answer;

const PARTITIONS: usize = 16;
const TASKS: usize = 8;
const PER_SECOND: usize = 2_000;
const RECORD_BYTES: usize = 700;
/// How often records are written and read.
const TICK: Duration = Duration::from_millis(50);
const LATENCY: Duration = Duration::from_millis(20);
/// What the seven others write in a second.
const OTHERS: usize = PER_SECOND / TASKS * (TASKS - 1);

/// A topic, a worker and an OMS that refuses the events of the first task as long as it holds.
struct Town {
    pipeline: Pipeline,
    now: Time,
    /// Whether each task has two partitions of its own; else every partition has records of every task.
    apart: bool,
    holds: bool,
    written: usize,
    logs: Vec<VecDeque<(usize, usize)>>,
    offsets: [i64; PARTITIONS],
    paused: [bool; PARTITIONS],
    agenda: BTreeMap<(Time, u64), Input>,
    serial: u64,
    accepted: [usize; TASKS],
}

fn name(partition: usize) -> PartitionName {
    PartitionName { topic: "t".into(), partition: i32::try_from(partition).unwrap() }
}

fn task(number: usize) -> TaskId {
    TaskId::new(&format!("task-{number}")).unwrap()
}

impl Town {
    fn new(apart: bool, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let mut town = Self {
            pipeline: Pipeline::new(settings),
            now: Time::START,
            apart,
            holds: true,
            written: 0,
            logs: vec![VecDeque::new(); PARTITIONS],
            offsets: [0; PARTITIONS],
            paused: [false; PARTITIONS],
            agenda: BTreeMap::new(),
            serial: 0,
            accepted: [0; TASKS],
        };
        let assigned = |p| Assigned { name: name(p), epoch: p as u64, committed: Some(0) };
        town.step(Input::Assigned((0..PARTITIONS).map(assigned).collect()));
        town
    }

    fn step(&mut self, input: Input) {
        let mut effects = Effects::default();
        self.pipeline.step(self.now, input, &mut effects);
        for effect in effects.actions {
            let (wait, input) = match effect {
                Effect::Submit { id, task: to, keys, .. } => {
                    let number: usize = to.as_str().trim_start_matches("task-").parse().unwrap();
                    let held = self.holds && number == 0;
                    self.accepted[number] += if held { 0 } else { keys };
                    let (verdict, status) = if held { (Verdict::TaskStopped, 400) } else { (Verdict::Accepted, 200) };
                    (LATENCY, Input::Answered(id, answer(verdict, status)))
                }
                Effect::Commit(_) => (LATENCY, Input::Committed(Ok(()))),
                Effect::Pause(at) => {
                    self.paused[usize::try_from(at.partition).unwrap()] = true;
                    continue;
                }
                Effect::Resume(at) => {
                    self.paused[usize::try_from(at.partition).unwrap()] = false;
                    continue;
                }
                _ => continue,
            };
            self.serial += 1;
            self.agenda.insert((self.now.after(wait), self.serial), input);
        }
    }

    fn write(&mut self) {
        for _ in 0..PER_SECOND / 20 {
            let (n, number) = (self.written, self.written % TASKS);
            let mixed = n / TASKS % PARTITIONS; // every task in every partition, in turn
            let partition = if self.apart { number * 2 + n / TASKS % 2 } else { mixed };
            self.logs[partition].push_back((number, n));
            self.written += 1;
        }
    }

    fn read(&mut self) {
        for p in 0..PARTITIONS {
            if self.paused[p] || self.pipeline.is_full() {
                continue;
            }
            let mut records = Vec::new();
            let most = self.logs[p].len().min(512);
            for (number, n) in self.logs[p].drain(..most) {
                let record = Record {
                    value: Some(vec![b'v'; RECORD_BYTES].into()),
                    ..Record::at("t", name(p).partition, self.offsets[p])
                };
                self.offsets[p] += 1;
                let key = EncodedKey::encode(&n.to_string(), KeyEncoding::Percent).unwrap();
                let changes = std::iter::once((task(number), key)).collect();
                records.push((p as u64, Incoming::new(&record, changes, Vec::new())));
            }
            self.step(Input::Records(records));
        }
    }

    /// Everything that happens in a second. How many keys of the others were accepted in it.
    fn second(&mut self, writes: bool) -> usize {
        let before: usize = self.accepted[1..].iter().sum();
        for _ in 0..20 {
            if writes {
                self.write();
            }
            self.read();
            self.pass();
        }
        self.accepted[1..].iter().sum::<usize>() - before
    }

    fn pass(&mut self) {
        let until = self.now.after(TICK);
        loop {
            let due = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let next = due.into_iter().chain(self.pipeline.next_wakeup()).min();
            let Some(next) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            let first = self.agenda.first_entry().filter(|first| first.key().0 <= self.now);
            let input = first.map_or(Input::Tick, std::collections::btree_map::OccupiedEntry::remove);
            self.step(input);
        }
        self.now = until;
    }

    /// Writes and reads until a partition is paused, or reading stops. The seconds until then; the others lose nothing.
    fn until_bound(&mut self, most: u64) -> u64 {
        for second in 0..most {
            let accepted = self.second(true);
            if self.paused.contains(&true) || self.pipeline.is_full() {
                return second;
            }
            let expected = if second == 0 { OTHERS / 2..=OTHERS } else { OTHERS - OTHERS / 50..=OTHERS + OTHERS / 2 };
            assert!(expected.contains(&accepted), "{accepted} of {OTHERS} accepted in second {second}");
        }
        panic!("no bound was reached in {most} s: {:?}", self.pipeline.report().unsettled);
    }

    /// The hold ends: everything that was written is accepted.
    fn ends_well(&mut self) {
        self.holds = false;
        for _ in 0..2_000 {
            self.second(false);
            if self.accepted.iter().sum::<usize>() == self.written {
                break;
            }
        }
        let report = self.pipeline.report();
        assert_eq!(self.accepted.iter().sum::<usize>(), self.written, "each once: {:?}", report.unsettled);
        assert_eq!((report.unsettled, self.paused), ((0, 0), [false; PARTITIONS]));
    }
}

/// Seconds until so many changes of the blocked task are read.
fn seconds_for(changes: usize) -> u64 {
    (changes / (PER_SECOND / TASKS)) as u64
}

fn is_about(seconds: u64, expected: u64) -> bool {
    seconds.abs_diff(expected) <= 2
}

#[test]
fn a_held_task_whose_records_are_everywhere_stops_the_others_when_its_share_of_the_budget_is_taken_up_and_not_before() {
    let mut town = Town::new(false, |_| {});
    let seconds = town.until_bound(300);
    let expected = seconds_for((24 << 20) / 4 * 3 / (RECORD_BYTES + CHANGE_BYTES));
    assert_eq!(expected, 83, "as the documentation says");
    assert!(is_about(seconds, expected), "{seconds} s");
    town.second(true);
    assert_eq!(town.paused, [true; PARTITIONS], "every partition has brought a record of it");
    town.second(true);
    assert_eq!(town.second(true), 0, "nothing is read");
    let (_, bytes) = town.pipeline.report().unsettled;
    assert!(bytes < (24 << 20) * 4 / 5, "{bytes}");
    town.ends_well();
}

#[test]
fn a_held_task_with_partitions_of_its_own_stops_nobody() {
    let mut town = Town::new(true, |_| {});
    let seconds = town.until_bound(300);
    assert!(is_about(seconds, 83), "{seconds} s");
    for _ in 0..60 {
        let accepted = town.second(true);
        assert!(accepted >= OTHERS - OTHERS / 50, "{accepted} of {OTHERS}");
    }
    let paused: Vec<_> = (0..PARTITIONS).filter(|p| town.paused[*p]).collect();
    assert_eq!(paused, [0, 1], "its own");
    town.ends_well();
}

#[test]
fn with_small_records_the_keys_of_a_held_task_are_the_bound() {
    let mut town = Town::new(false, |settings| {
        (settings.max_unsettled_bytes, settings.max_pending_keys_per_task) = (1 << 30, 10_000);
    });
    let seconds = town.until_bound(300);
    assert!(is_about(seconds, seconds_for(10_000)), "{seconds} s");
    town.second(true);
    assert_eq!(town.paused, [true; PARTITIONS]);
    town.ends_well();
}

#[test]
fn what_a_crash_would_repeat_is_a_bound_too_and_costs_no_memory() {
    let mut town = Town::new(false, |settings| settings.max_uncommitted_records = 5_000);
    let seconds = town.until_bound(300);
    let expected = (5_000 * PARTITIONS / PER_SECOND) as u64;
    assert!(is_about(seconds, expected), "{seconds} s, not {expected}");
    let (changes, _) = town.pipeline.report().unsettled;
    assert!(changes < 12_000, "of 80,000 records only the held ones are kept: {changes}");
    town.ends_well();
}

#[test]
fn without_a_share_a_held_task_takes_up_the_whole_budget() {
    let mut town = Town::new(true, |settings| settings.max_blocked_share_per_task = 1.0);
    let seconds = town.until_bound(300);
    assert!(is_about(seconds, seconds_for((24 << 20) / (RECORD_BYTES + CHANGE_BYTES))), "{seconds} s");
    town.ends_well();
}
