//! The core against a model that knows only the promise: a commit point never passes a change that is neither accepted
//! nor acknowledged as a dead letter.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::answer::{Pressure, Status, Verdict};
use super::super::event::Origin;
use super::super::record::Record;
use super::super::*;
use std::time::Duration;

const PARTITIONS: usize = 3;
const MAX_KEYS: usize = 4;

/// What is done to the pipeline next; numbers pick one of what there is.
#[derive(Clone, Debug)]
enum Op {
    Assign(usize),
    Revoke(usize),
    Lose(usize),
    Poll(usize, Vec<Vec<(u8, u8)>>),
    End(usize),
    Answer(usize, u8),
    Letter(usize, bool),
    Stand(usize, u8),
    Commit(Result<(), CommitError>),
    Wait(u16),
    Drain,
}

fn op() -> impl Strategy<Value = Op> {
    let changes = prop::collection::vec(prop::collection::vec((0..3_u8, 0..12_u8), 0..4), 1..6);
    let commit =
        prop_oneof![3 => Just(Ok(())), 1 => Just(Err(CommitError::Failed)), 1 => Just(Err(CommitError::Fenced))];
    prop_oneof![
        3 => (0..PARTITIONS).prop_map(Op::Assign),
        1 => (0..PARTITIONS).prop_map(Op::Revoke),
        1 => (0..PARTITIONS).prop_map(Op::Lose),
        12 => (0..PARTITIONS, changes).prop_map(|(p, changes)| Op::Poll(p, changes)),
        1 => (0..PARTITIONS).prop_map(Op::End),
        16 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Op::Answer(which, how)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, ok)| Op::Letter(which, ok)),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Op::Stand(which, how)),
        4 => commit.prop_map(Op::Commit),
        8 => (0..2_000_u16).prop_map(Op::Wait),
        1 => Just(Op::Drain),
    ]
}

type Change = (u8, u8);

/// A broker, an OMS and the pipeline between them.
struct World {
    pipeline: Pipeline,
    out: Effects,
    now: Time,
    /// Each partition's log, and which changes of each record are settled.
    logs: Vec<Vec<BTreeSet<Change>>>,
    committed: [i64; PARTITIONS],
    /// Epoch and next offset to deliver, where assigned; whether it is being revoked.
    assigned: [Option<(u64, usize)>; PARTITIONS],
    revoking: BTreeSet<usize>,
    epochs: u64,
    /// Submission, its changes, and how long each log was when it went out.
    out_submissions: Vec<(SubmissionId, Vec<Change>, [usize; PARTITIONS])>,
    out_letters: Vec<(LetterId, Arc<DeadLetter>)>,
    out_questions: Vec<TaskId>,
    out_commit: Option<Vec<(PartitionName, i64)>>,
    drained: bool,
}

fn name(partition: usize) -> PartitionName {
    PartitionName { topic: "t".into(), partition: i32::try_from(partition).unwrap() }
}

fn number(name: &PartitionName) -> usize {
    usize::try_from(name.partition).unwrap()
}

fn answer(verdict: Verdict, status: u16) -> Answer {
    Answer {
        verdict,
        status: Status::Http(status),
        retry_after: None,
        error_code: None,
        error_message: None,
        request_id: None,
    }
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            max_keys: MAX_KEYS,
            max_in_flight: 6,
            max_in_flight_per_task: 3,
            max_unsettled_changes: 12,
            max_pending_keys_per_task: 8,
            max_uncommitted_records: 20,
            max_tasks: 2,
            ..Settings::default()
        };
        Self {
            pipeline: Pipeline::new(settings),
            out: Effects::default(),
            now: Time::START,
            logs: vec![Vec::new(); PARTITIONS],
            committed: [0; PARTITIONS],
            assigned: [None; PARTITIONS],
            revoking: BTreeSet::new(),
            epochs: 0,
            out_submissions: Vec::new(),
            out_letters: Vec::new(),
            out_questions: Vec::new(),
            out_commit: None,
            drained: false,
        }
    }

    fn step(&mut self, input: Input) {
        self.pipeline.step(self.now, input, &mut self.out);
        for effect in std::mem::take(&mut self.out.actions) {
            self.perform(effect);
        }
        self.check_places();
        let wakeup = self.pipeline.next_wakeup();
        assert!(wakeup.is_none_or(|at| at > self.now), "hot loop: {wakeup:?} at {:?}", self.now);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Submit { id, task, body, keys } => {
                let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let task: u8 = task.as_str().parse().unwrap();
                let list = parsed["object_keys"].as_array().unwrap();
                let changes: Vec<_> = list.iter().map(|key| (task, key.as_str().unwrap().parse().unwrap())).collect();
                assert_eq!(changes.len(), keys);
                assert!((1..=MAX_KEYS).contains(&keys));
                let alone = self.out_submissions.is_empty();
                assert!(self.pipeline.trust.is_proven() || alone, "unproven credentials have one request out");
                let lengths = std::array::from_fn(|p| self.logs[p].len());
                self.out_submissions.push((id, changes, lengths));
            }
            Effect::AskTask(task) => self.out_questions.push(task),
            Effect::DeadLetter(id, letter) => self.out_letters.push((id, letter)),
            Effect::Commit(offsets) => {
                assert!(self.out_commit.is_none(), "one commit at a time");
                for (name, offset) in &offsets {
                    self.check_commit(number(name), *offset);
                }
                self.out_commit = Some(offsets);
            }
            Effect::Unassign(names) => {
                for p in names.iter().map(number) {
                    assert!(self.revoking.remove(&p), "only revoked partitions are given back");
                    self.assigned[p] = None;
                }
            }
            Effect::Drained { .. } => self.drained = true,
            Effect::Pause(_) | Effect::Resume(_) | Effect::Notice(_) => {}
        }
    }

    fn check_commit(&self, partition: usize, offset: i64) {
        assert!(self.assigned[partition].is_some(), "a partition that is not ours is not committed");
        let passed = &self.logs[partition][..usize::try_from(offset).unwrap()];
        let open: Vec<_> = passed.iter().enumerate().filter(|(_, changes)| !changes.is_empty()).collect();
        assert!(open.is_empty(), "commit {offset} of {partition} passes {open:?}");
    }

    /// Every entry is in exactly one place; nothing is cut short while more may go.
    fn check_places(&self) {
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, task) in self.pipeline.tasks.iter() {
            let mut keys = BTreeSet::new();
            let doomed = task.doomed.iter().map(|doomed| &doomed.event);
            let parts = task.parts.values().chain(doomed).flat_map(|part| part.entries.iter().copied());
            for id in task.pending.ids().chain(parts) {
                *places.entry(id).or_default() += 1;
            }
            for id in task.pending.ids() {
                assert!(keys.insert(self.pipeline.entries[id].key.clone()), "a key waits in one entry only");
            }
        }
        for (_, sent) in &self.pipeline.flight {
            for id in &sent.event.entries {
                *places.entry(*id).or_default() += 1;
            }
        }
        assert!(places.values().all(|count| *count == 1), "an entry is in one place: {places:?}");
        assert_eq!(places.len(), self.pipeline.entries.len(), "no entry is nowhere");
        let (changes, _) = self.pipeline.budget.used();
        let charged: usize = self.pipeline.partitions.iter().map(|(_, p)| p.ledger.charged().0).sum();
        let detached = self.pipeline.partitions.iter().any(|(_, p)| p.detached);
        assert!(detached || changes == charged, "the budget is what the ledgers hold: {changes}, {charged}");
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Assign(p) if self.assigned[p].is_none() => self.assign(p),
            Op::Revoke(p) if self.assigned[p].is_some() && self.revoking.is_empty() => {
                self.revoking.insert(p);
                self.step(Input::Revoked(vec![name(p)]));
            }
            Op::Lose(p) if self.assigned[p].is_some() => {
                self.assigned[p] = None;
                self.revoking.remove(&p);
                self.step(Input::Lost(vec![name(p)]));
            }
            Op::Poll(p, records) => {
                self.logs[p].extend(records.into_iter().map(|record| record.into_iter().collect()));
                self.deliver(p);
            }
            Op::End(p) => self.end(p),
            Op::Answer(which, how) => self.answer(which, how),
            Op::Letter(which, ok) => self.letter(which, ok),
            Op::Stand(which, how) => self.stand(which, how),
            Op::Commit(result) => self.commit(result),
            Op::Wait(ms) => {
                self.now = self.now.after(Duration::from_millis(ms.into()));
                self.step(Input::Tick);
            }
            Op::Drain => self.step(Input::Drain),
            Op::Assign(_) | Op::Revoke(_) | Op::Lose(_) => {}
        }
    }

    fn assign(&mut self, p: usize) {
        self.epochs += 1;
        self.assigned[p] = Some((self.epochs, usize::try_from(self.committed[p]).unwrap()));
        let assigned = Assigned { name: name(p), epoch: self.epochs, committed: Some(self.committed[p]) };
        self.step(Input::Assigned(vec![assigned]));
        self.deliver(p);
    }

    fn deliver(&mut self, p: usize) {
        let Some((epoch, from)) = self.assigned[p] else { return };
        if self.pipeline.is_full() {
            return; // the consumer stops polling
        }
        let records = (from..self.logs[p].len()).map(|at| (epoch, self.incoming(p, at))).collect();
        self.assigned[p] = Some((epoch, self.logs[p].len()));
        self.step(Input::Records(records));
    }

    /// Changes that an earlier owner settled are asked for again: OMS sees them twice, which is allowed.
    fn incoming(&self, p: usize, at: usize) -> Incoming {
        let record = Record {
            topic: "t".into(),
            partition: i32::try_from(p).unwrap(),
            offset: i64::try_from(at).unwrap(),
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Box::default(),
        };
        let change = |(task, key): &Change| {
            let encoded = key::EncodedKey::encode(&key.to_string(), key::KeyEncoding::Percent).unwrap();
            (TaskId::new(&task.to_string()).unwrap(), encoded)
        };
        Incoming { record: Arc::new(record), changes: self.logs[p][at].iter().map(change).collect(), rejects: vec![] }
    }

    fn end(&mut self, p: usize) {
        let Some((epoch, next)) = self.assigned[p] else { return };
        if next == self.logs[p].len() && !self.pipeline.is_full() {
            self.step(Input::Ended(name(p), epoch, i64::try_from(next).unwrap()));
        }
    }

    /// Key 0 is refused always, key 1 always meets a fault, task 2 comes and goes.
    fn answer(&mut self, which: usize, how: u8) {
        if self.out_submissions.is_empty() {
            return;
        }
        let (id, changes, lengths) = self.out_submissions.remove(which % self.out_submissions.len());
        let (verdict, status) = match how {
            0..=9 => (Verdict::Busy(Pressure::Throttled), 429),
            10..=19 => (Verdict::Busy(Pressure::Overloaded), 503),
            20..=25 => (Verdict::Hold(HoldReason::Credentials), 401),
            26..=29 => (Verdict::Hold(HoldReason::Endpoint), 405),
            30..=39 => (Verdict::Hold(HoldReason::Permission), 403),
            40..=45 => (Verdict::TaskStopped, 400),
            46..=50 if changes[0].0 == 2 => (Verdict::UnknownTask, 404),
            _ if changes.iter().any(|(_, key)| *key == 0) => (Verdict::Refused, 400),
            _ if changes.iter().any(|(_, key)| *key == 1) && how < 200 => (Verdict::Busy(Pressure::Faulted), 500),
            _ => (Verdict::Accepted, 200),
        };
        if verdict == Verdict::Accepted {
            for (p, log) in self.logs.iter_mut().enumerate() {
                for record in &mut log[..lengths[p]] {
                    record.retain(|change| !changes.contains(change));
                }
            }
        }
        self.step(Input::Answered(id, answer(verdict, status)));
    }

    fn letter(&mut self, which: usize, ok: bool) {
        if self.out_letters.is_empty() {
            return;
        }
        let (id, letter) = self.out_letters.remove(which % self.out_letters.len());
        if ok {
            let task: u8 = letter.failure.refusal.as_ref().unwrap().task.as_str().parse().unwrap();
            let p = usize::try_from(letter.record.partition).unwrap();
            let record = &mut self.logs[p][usize::try_from(letter.record.offset).unwrap()];
            record.retain(|(t, key)| *t != task || !letter.failure.keys.iter().any(|k| **k == key.to_string()));
        }
        self.step(Input::LetterDone(id, ok));
    }

    fn stand(&mut self, which: usize, how: u8) {
        if self.out_questions.is_empty() {
            return;
        }
        let task = self.out_questions.remove(which % self.out_questions.len());
        let standing = match how {
            0..=40 => Standing::Stopped,
            41..=60 => Standing::EmptyProject,
            61..=80 => Standing::Unknown(answer(Verdict::Hold(HoldReason::Credentials), 401)),
            81..=100 => Standing::Unknown(answer(Verdict::Busy(Pressure::Overloaded), 503)),
            101..=130 => Standing::Missing,
            _ => Standing::Active,
        };
        self.step(Input::TaskStands(task, standing));
    }

    fn commit(&mut self, result: Result<(), CommitError>) {
        let Some(offsets) = self.out_commit.take() else { return };
        if result.is_ok() {
            for (name, offset) in offsets {
                self.committed[number(&name)] = offset;
            }
        }
        self.step(Input::Committed(result));
    }

    /// Everything goes well from here on, until nothing is left to do.
    fn settle(&mut self) {
        for round in 0..20_000 {
            self.commit(Ok(()));
            self.letter(0, true);
            self.stand(0, u8::MAX);
            self.answer(0, u8::MAX);
            (0..PARTITIONS).for_each(|p| self.deliver(p));
            (0..PARTITIONS).for_each(|p| self.end(p));
            let asked = !self.out_questions.is_empty();
            let busy =
                asked || !self.out_submissions.is_empty() || !self.out_letters.is_empty() || self.out_commit.is_some();
            if busy {
                continue;
            }
            match self.pipeline.next_wakeup() {
                Some(wakeup) => {
                    assert!(round < 19_000, "never comes to rest: {:?}", self.pipeline.report());
                    self.now = self.now.max(wakeup);
                    self.step(Input::Tick);
                }
                None => return,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(600), max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_commit_point_never_passes_an_unsettled_change(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
        let draining = world.pipeline.is_draining();
        world.settle();
        if draining {
            prop_assert!(world.drained, "a drain ends");
            return Ok(());
        }
        prop_assert_eq!(world.pipeline.budget.used(), (0, 0));
        prop_assert!(world.pipeline.entries.is_empty());
        prop_assert!(world.pipeline.partitions.iter().all(|(_, p)| !p.paused), "a partition stays paused");
        for p in (0..PARTITIONS).filter(|p| world.assigned[*p].is_some()) {
            prop_assert_eq!(world.committed[p], i64::try_from(world.logs[p].len()).unwrap(), "lag of {}", p);
        }
    }

    #[test]
    fn an_event_below_its_size_leaves_nothing_behind_that_may_go(keys in prop::collection::vec(0..40_u8, 1..80)) {
        let mut world = World::new();
        world.assign(0);
        world.apply(Op::Poll(0, keys.into_iter().map(|key| vec![(1, key + 2)]).collect()));
        for _ in 0..200 {
            world.now = world.now.after(Duration::from_millis(50));
            world.step(Input::Tick);
            for (_, sent) in &world.pipeline.flight {
                let short = sent.event.origin == Origin::Cut && sent.event.entries.len() < MAX_KEYS;
                let task = &world.pipeline.tasks[sent.event.task];
                prop_assert!(!short || sent.at < world.now || task.pending.sendable() == 0);
            }
            world.answer(0, u8::MAX);
        }
        prop_assert!(world.pipeline.entries.is_empty());
    }

    #[test]
    fn refused_keys_are_found_in_few_requests(refused in prop::collection::btree_set(0..10_u32, 1..10)) {
        let mut settings = Settings { linger: Duration::ZERO, ..Settings::default() };
        settings.max_in_flight = 1;
        let mut world = World { pipeline: Pipeline::new(settings), ..World::new() };
        let mut requests = 0_u32;
        world.logs[0] = vec![(0..10).map(|key| (1, 50 + key)).collect()];
        world.assign_unchecked(0);
        while let Some((id, changes, _)) = world.next_submission() {
            requests += 1;
            let is_refused = changes.iter().any(|(_, key)| refused.contains(&u32::from(*key - 50)));
            let (verdict, status) = if is_refused { (Verdict::Refused, 400) } else { (Verdict::Accepted, 200) };
            world.step_unchecked(Input::Answered(id, answer(verdict, status)));
        }
        let failed: Vec<_> = world.out_letters.iter().flat_map(|(_, letter)| letter.failure.keys.clone()).collect();
        prop_assert_eq!(failed.len(), refused.len());
        prop_assert_eq!(world.out_letters.len(), 1, "one dead letter lists all keys that failed alike");
        let k = u32::try_from(refused.len()).unwrap();
        prop_assert!(requests <= 1 + 2 * k * 4, "{} requests for {} refused of 10", requests, k);
    }
}

#[test]
fn records_read_under_an_earlier_assignment_are_not_taken_in() {
    let mut world = World::new();
    world.logs[0] = vec![BTreeSet::from([(1, 2)]), BTreeSet::from([(1, 3)])];
    world.assign(0);
    let stale = vec![(world.epochs, world.incoming(0, 1))];
    world.apply(Op::Lose(0));
    world.logs[0].clear(); // nothing to deliver yet
    world.assign(0);
    world.step(Input::Records(stale));
    assert!(world.pipeline.entries.is_empty());
    let points: Vec<_> = world.pipeline.report().partitions.iter().map(|partition| partition.commit_point).collect();
    assert_eq!(points, [None]);
}

impl World {
    fn step_unchecked(&mut self, input: Input) {
        self.pipeline.step(self.now, input, &mut self.out);
        for effect in std::mem::take(&mut self.out.actions) {
            if let Effect::Submit { id, body, .. } = &effect {
                let parsed: serde_json::Value = serde_json::from_slice(body).unwrap();
                let keys = parsed["object_keys"].as_array().unwrap();
                let changes = keys.iter().map(|key| (1, key.as_str().unwrap().parse().unwrap())).collect();
                self.out_submissions.push((*id, changes, [0; PARTITIONS]));
            } else {
                self.perform(effect);
            }
        }
    }

    /// The next request, once every question about its task is answered.
    fn next_submission(&mut self) -> Option<(SubmissionId, Vec<Change>, [usize; PARTITIONS])> {
        while let Some(task) = self.out_questions.pop() {
            self.step_unchecked(Input::TaskStands(task, Standing::Active));
        }
        self.out_submissions.pop()
    }

    fn assign_unchecked(&mut self, p: usize) {
        self.step_unchecked(Input::Assigned(vec![Assigned { name: name(p), epoch: 1, committed: None }]));
        self.step_unchecked(Input::Records(vec![(1, self.incoming(p, 0))]));
    }
}
