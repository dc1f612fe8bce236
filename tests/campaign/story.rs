//! What was seen, told by time: records in the source topic, accepted events, dead letters, commit points. Answers when a
//! record was accounted for. Pure: everything is told to it, in any order, in milliseconds since the campaign began.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::records::{AcceptedKey, Expected, REMOVABLE, raw_key, task_of};

/// Milliseconds since the campaign began.
pub(crate) type Ms = u32;
/// Length of the steps that accepted keys are counted in.
pub(crate) const TICK: Ms = 100;
/// How long after a task is back an answer may still say that it is gone.
const GONE_SLACK: Ms = 20_000;
/// Violations of each kind that are kept word for word.
const MAX_TOLD: u64 = 100;

const NEVER: Ms = Ms::MAX;

/// Key, value and headers of a record, to be compared word for word.
pub(crate) type Raw = (Vec<u8>, Vec<u8>, Vec<(String, Vec<u8>)>);

/// A record as an independent reader found it, and when its broker appended it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) expected: Expected,
    pub(crate) at: Ms,
}

/// A dead letter as an independent reader found it.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) at: Ms,
    /// When OMS refused the first of its keys, as it tells. It is written only when all keys of its record are decided.
    pub(crate) failed_at: Ms,
    /// Partition and offset of its record, as it tells.
    pub(crate) source: (i32, i64),
    pub(crate) reason: String,
    pub(crate) failed_keys: Vec<String>,
    pub(crate) raw: Raw,
}

/// Something that must not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    pub(crate) at: Ms,
    pub(crate) what: What,
    pub(crate) told: String,
}

/// What kind of thing must not be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum What {
    Lost,
    CommittedAhead,
    WronglyDeadLettered,
    WronglyAccepted,
    UnexplainedDuplicate,
    Lag,
    WorkerEnded,
    NotLive,
    NotFlat,
}

/// When each key was accepted.
#[derive(Default, Debug)]
pub(crate) struct Accepted {
    first: Vec<Ms>,
    more: HashMap<u32, Vec<Ms>>,
}

impl Accepted {
    fn note(&mut self, key: u32, at: Ms) {
        let index = key as usize;
        if index >= self.first.len() {
            self.first.resize(index + 1, NEVER);
        }
        if self.first[index] == NEVER {
            self.first[index] = at;
        } else {
            self.more.entry(key).or_default().push(at);
        }
    }

    fn all(&self, key: u32) -> impl Iterator<Item = Ms> {
        let first = self.first.get(key as usize).copied().filter(|at| *at != NEVER);
        first.into_iter().chain(self.more.get(&key).into_iter().flatten().copied())
    }

    /// The earliest acceptance that is not earlier than `since`.
    fn since(&self, key: u32, since: Ms) -> Option<Ms> {
        self.all(key).filter(|at| *at >= since).min()
    }
}

/// Everything that was seen.
#[derive(Default, Debug)]
pub(crate) struct Story {
    partitions: BTreeMap<i32, Vec<Found>>,
    raw: HashMap<(i32, i64), Raw>,
    accepted: Accepted,
    letters: HashMap<(i32, i64), Vec<Letter>>,
    /// When the removable task was away; open at the end while it is.
    gone: Vec<(Ms, Ms)>,
    /// Commit points that were seen and are not judged yet, and up to where each partition's are.
    commits: BTreeMap<i32, VecDeque<(i64, Ms)>>,
    judged: BTreeMap<i32, i64>,
    /// How often a commit point was seen to go back.
    pub(crate) went_back: u64,
    /// Accepted keys and appended good keys, by [`TICK`].
    pub(crate) accepted_by_tick: Vec<u32>,
    pub(crate) appended_by_tick: Vec<u32>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) violations_by_kind: HashMap<&'static str, u64>,
}

fn count(ticks: &mut Vec<u32>, at: Ms, keys: u32) {
    let tick = (at / TICK) as usize;
    if tick >= ticks.len() {
        ticks.resize(tick + 1, 0);
    }
    ticks[tick] += keys;
}

impl What {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::CommittedAhead => "committed ahead",
            Self::WronglyDeadLettered => "wrongly dead-lettered",
            Self::WronglyAccepted => "wrongly accepted",
            Self::UnexplainedDuplicate => "duplicates without a fault",
            Self::Lag => "lag at the end",
            Self::WorkerEnded => "workers that ended otherwise than asked",
            Self::NotLive => "liveness failed",
            Self::NotFlat => "memory, descriptors or threads not flat",
        }
    }
}

impl Story {
    pub(crate) fn violate(&mut self, at: Ms, what: What, told: String) {
        let count = self.violations_by_kind.entry(what.name()).or_default();
        *count += 1;
        if *count <= MAX_TOLD {
            self.violations.push(Violation { at, what, told });
        }
    }

    pub(crate) fn count_of(&self, what: What) -> u64 {
        self.violations_by_kind.get(what.name()).copied().unwrap_or(0)
    }

    /// A record stands in the source topic. They come in order, without a gap.
    pub(crate) fn found(&mut self, partition: i32, offset: i64, found: Found, raw: Raw) {
        let records = self.partitions.entry(partition).or_default();
        if usize::try_from(offset) != Ok(records.len()) {
            let told =
                format!("the campaign's own reader found offset {offset} of {partition} after {}", records.len());
            return self.violate(found.at, What::Lost, told);
        }
        records.push(found);
        let keys = found.expected.good_keys().len();
        count(&mut self.appended_by_tick, found.at, u32::try_from(keys).unwrap_or(0));
        if found.expected.kind.wants_letter() || found.expected.task() == REMOVABLE {
            self.raw.insert((partition, offset), raw);
        }
    }

    /// OMS accepted a key in a request that arrived at that time.
    pub(crate) fn accepted(&mut self, key: AcceptedKey, at: Ms) {
        match key {
            AcceptedKey::Good(number) => {
                self.accepted.note(number, at);
                count(&mut self.accepted_by_tick, at, 1);
            }
            AcceptedKey::Foreign(text) => {
                self.violate(at, What::WronglyAccepted, format!("{text} was accepted and must not be"));
            }
        }
    }

    /// A dead letter was acknowledged.
    pub(crate) fn letter(&mut self, letter: Letter) {
        self.letters.entry(letter.source).or_default().push(letter);
    }

    /// The removable task is gone from now on, or is back.
    pub(crate) fn task_gone(&mut self, at: Ms) {
        self.gone.push((at, NEVER));
    }

    pub(crate) fn task_back(&mut self, at: Ms) {
        if let Some(last) = self.gone.last_mut() {
            last.1 = at;
        }
    }

    /// An independent client saw the commit point of a partition, and had the answer at that time.
    pub(crate) fn commit_seen(&mut self, partition: i32, point: i64, at: Ms) {
        let judged = self.judged.get(&partition).copied().unwrap_or(0);
        let waiting = self.commits.entry(partition).or_default();
        let last = waiting.back().map_or(judged, |(point, _)| *point);
        if point > last {
            waiting.push_back((point, at));
        } else if point < last {
            self.went_back += 1;
        }
    }

    /// Judges the commit points that can be judged. One that passes a record which was not accounted for by then is a
    /// violation; while that is not certain (`last` is false) it waits for what the readers have yet to tell.
    pub(crate) fn judge_commits(&mut self, last: bool) {
        let mut ahead = Vec::new();
        for (partition, waiting) in &mut self.commits {
            let judged = self.judged.entry(*partition).or_default();
            while let Some((point, at)) = waiting.front().copied() {
                let settled = |offset: i64| {
                    let (partition, offset) = (*partition, offset);
                    settled_at(&self.partitions, &self.accepted, &self.letters, &self.gone, partition, offset)
                };
                while *judged < point {
                    let settled = settled(*judged);
                    if settled.is_none_or(|settled| settled > at) {
                        if settled.is_none() && !last {
                            break;
                        }
                        ahead.push((at, format!("commit point {point} of partition {partition} passes offset {judged}, settled: {settled:?}")));
                    }
                    *judged += 1;
                }
                if *judged < point {
                    break;
                }
                waiting.pop_front();
            }
        }
        for (at, told) in ahead {
            self.violate(at, What::CommittedAhead, told);
        }
    }

    /// Ends of all partitions as the reader found them.
    pub(crate) fn ends(&self) -> BTreeMap<i32, i64> {
        self.partitions
            .iter()
            .map(|(partition, records)| (*partition, i64::try_from(records.len()).unwrap_or(0)))
            .collect()
    }

    /// Records, keys that OMS must take, and dead letters so far.
    pub(crate) fn sizes(&self) -> (usize, u64, usize) {
        let records = self.partitions.values().map(Vec::len).sum();
        let keys = self.appended_by_tick.iter().map(|keys| u64::from(*keys)).sum();
        (records, keys, self.letters.values().map(Vec::len).sum())
    }

    /// All records with their place and when they were accounted for.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (i32, i64, Found, Option<Ms>)> {
        self.partitions.iter().flat_map(move |(partition, records)| {
            records.iter().enumerate().map(move |(offset, found)| {
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                let settled =
                    settled_at(&self.partitions, &self.accepted, &self.letters, &self.gone, *partition, offset);
                (*partition, offset, *found, settled)
            })
        })
    }

    /// Every dead letter, with what is wrong about it.
    pub(crate) fn judged_letters(&self) -> impl Iterator<Item = (&Letter, Option<String>)> {
        self.letters.values().flatten().map(|letter| (letter, self.wrong(letter)))
    }

    /// How many dead letters were written of a record that had one of the same reason already.
    pub(crate) fn repeated_letters(&self) -> usize {
        let repeated = |letters: &Vec<Letter>| {
            let mut reasons: Vec<_> = letters.iter().map(|letter| letter.reason.as_str()).collect();
            reasons.sort_unstable();
            reasons.windows(2).filter(|two| two[0] == two[1]).count()
        };
        self.letters.values().map(repeated).sum()
    }

    /// Keys that were accepted more than once, with all times.
    pub(crate) fn accepted_again(&self) -> impl Iterator<Item = (u32, Vec<Ms>)> {
        self.accepted.more.keys().map(|key| (*key, self.accepted.all(*key).collect()))
    }

    fn wrong(&self, letter: &Letter) -> Option<String> {
        let (partition, offset) = letter.source;
        let record = self.partitions.get(&partition).and_then(|records| records.get(usize::try_from(offset).ok()?));
        let Some(found) = record else { return Some("there is no such record".to_owned()) };
        let expected = found.expected;
        let raw = self.raw.get(&letter.source);
        if raw.is_some_and(|raw| *raw != letter.raw) {
            return Some("it is not verbatim".to_owned());
        }
        let gone =
            letter.reason == "task_not_found" && is_gone(&self.gone, letter.failed_at) && expected.task() == REMOVABLE;
        let refused: Vec<_> = expected.refused_key().into_iter().collect();
        let right = gone || (expected.kind.wants_letter() && letter.failed_keys == refused);
        (!right).then(|| format!("OMS took what it held: {:?}, {}, {:?}", expected, letter.reason, letter.failed_keys))
    }
}

fn is_gone(gone: &[(Ms, Ms)], at: Ms) -> bool {
    gone.iter().any(|(from, to)| *from <= at && at <= to.saturating_add(GONE_SLACK))
}

/// When all of a record was accounted for: each key accepted in a request that arrived after the record was there, and
/// what was refused dead-lettered.
fn settled_at(
    partitions: &BTreeMap<i32, Vec<Found>>,
    accepted: &Accepted,
    letters: &HashMap<(i32, i64), Vec<Letter>>,
    gone: &[(Ms, Ms)],
    partition: i32,
    offset: i64,
) -> Option<Ms> {
    let found = partitions.get(&partition)?.get(usize::try_from(offset).ok()?)?;
    let letters = letters.get(&(partition, offset)).map(Vec::as_slice).unwrap_or_default();
    let mut settled = found.at;
    for key in found.expected.good_keys() {
        let mut at = accepted.since(key, found.at);
        if task_of(key) == REMOVABLE {
            let name = raw_key(key);
            let named = |letter: &&Letter| letter.failed_keys.contains(&name) && is_gone(gone, letter.failed_at);
            at = at.into_iter().chain(letters.iter().filter(named).map(|letter| letter.at)).min();
        }
        settled = settled.max(at?);
    }
    if found.expected.kind.wants_letter() {
        let refused = found.expected.refused_key();
        let names = |letter: &&Letter| match &refused {
            Some(key) => letter.failed_keys.contains(key),
            None => letter.failed_keys.is_empty(),
        };
        settled = settled.max(letters.iter().filter(names).map(|letter| letter.at).min()?);
    }
    Some(settled)
}
