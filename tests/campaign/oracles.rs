//! Judges of a whole story: what was lost, what was accepted once too often and which fault explains it, how long it took
//! until OMS accepted as much as before, whether processes stayed as small as they were. Pure.

use std::collections::HashMap;

use super::story::{Ms, Story, TICK, What};

/// How long after a fault was healed it explains that the answer to what was accepted, or its commit, was lost: a session
/// timeout, a rebalance.
const EXPLAINS_FOR: Ms = 60_000;
/// Longest that an answer is under way, and how long before a fault of OMS a request arrived whose answer it may still meet.
const ANSWER: Ms = 1_000;
const UNDER_WAY: Ms = 300;
/// Share of the rate before that counts as back, and the span that it must hold for.
const BACK: f64 = 0.9;
const BACK_FOR: Ms = 2_000;
/// How much more memory a process may have at the end than at the beginning of what is compared.
const MEMORY_GROWTH: f64 = 1.10;
/// Descriptors and threads that may come and go.
const HANDLES_SLACK: u64 = 32;

/// A fault that was injected.
#[derive(Clone, Debug)]
pub(crate) struct Injected {
    pub(crate) kind: &'static str,
    /// What it hit.
    pub(crate) target: String,
    pub(crate) from: Ms,
    /// When it was healed; none while it lasts.
    pub(crate) to: Option<Ms>,
    /// Whether no other fault was there from its beginning to its end.
    pub(crate) alone: bool,
    /// Whether it can make a key be accepted twice.
    pub(crate) repeats: bool,
    /// Why it could not be injected or healed.
    pub(crate) failed: Option<String>,
    /// How long the accepted rate took to be back once it was healed.
    pub(crate) recovery: Option<Ms>,
    pub(crate) duplicates: u64,
    pub(crate) lost: u64,
    pub(crate) wrong_letters: u64,
}

/// A look at a worker's process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) at: Ms,
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

/// The fault that was injected last of those that were there within a span, or had been shortly before.
fn latest(faults: &mut [Injected], (from, to): (Ms, Ms), fits: impl Fn(&Injected) -> bool) -> Option<&mut Injected> {
    let there = |fault: &&mut Injected| {
        fault.from <= to && fault.to.is_none_or(|healed| from <= healed.saturating_add(EXPLAINS_FOR)) && fits(fault)
    };
    faults.iter_mut().filter(there).max_by_key(|fault| fault.from)
}

/// Records of which something was neither accepted nor dead-lettered.
pub(crate) fn lost(story: &mut Story, faults: &mut [Injected]) {
    let lost: Vec<_> = story.outcomes().filter(|(.., settled)| settled.is_none()).collect();
    for (partition, offset, found, _) in lost {
        if let Some(fault) = latest(faults, (found.at, found.at), |_| true) {
            fault.lost += 1;
        }
        story.violate(found.at, What::Lost, format!("offset {offset} of partition {partition}: {:?}", found.expected));
    }
}

/// Dead letters of what OMS took, or that are not what their record was.
pub(crate) fn wrong_letters(story: &mut Story, faults: &mut [Injected]) {
    let wrong: Vec<_> =
        story.judged_letters().filter_map(|(letter, wrong)| Some((letter.at, letter.source, wrong?))).collect();
    for (at, source, wrong) in wrong {
        if let Some(fault) = latest(faults, (at, at), |_| true) {
            fault.wrong_letters += 1;
        }
        story.violate(at, What::WronglyDeadLettered, format!("{source:?}: {wrong}"));
    }
}

/// Places among the sorted arrivals of a key that are beyond the number of records that had it by then. Records of one key
/// may share a request, so this says at least how many were too many.
pub(crate) fn too_many(appended: &mut [Ms], arrivals: &mut [Ms]) -> Vec<usize> {
    appended.sort_unstable();
    arrivals.sort_unstable();
    let mut found = Vec::new();
    for (index, at) in arrivals.iter().enumerate() {
        let wanted = appended.partition_point(|appended| appended <= at);
        if index + 1 - found.len() > wanted {
            found.push(index);
        }
    }
    found
}

/// What a key was accepted again for at `at`, after it was at `before`: a fault of OMS that the answer met, or else the last
/// fault since by which a worker may have lost a partition before the commit.
fn cause(faults: &mut [Injected], before: Ms, at: Ms) -> Option<&mut Injected> {
    let is_of_oms = |fault: &Injected| fault.kind.contains("OMS");
    let met = |fault: &Injected| {
        let over = fault.to.is_some_and(|to| to.saturating_add(ANSWER) < before);
        fault.repeats && is_of_oms(fault) && fault.from <= before + UNDER_WAY && !over
    };
    if faults.iter().any(met) {
        return latest(faults, (before, before + UNDER_WAY), met);
    }
    latest(faults, (before, at), |fault| fault.repeats && !is_of_oms(fault))
}

/// Counts what was accepted once too often, each with the fault that explains it. Gives how many there are.
pub(crate) fn duplicates(story: &mut Story, faults: &mut [Injected]) -> u64 {
    let again: HashMap<u32, Vec<Ms>> = story.accepted_again().collect();
    let mut appended: HashMap<u32, Vec<Ms>> = HashMap::new();
    for (_, _, found, _) in story.outcomes() {
        for key in found.expected.good_keys().filter(|key| again.contains_key(key)) {
            appended.entry(key).or_default().push(found.at);
        }
    }
    let mut count = 0;
    for (key, mut arrivals) in again {
        let mut lost = vec![false; arrivals.len()];
        for index in too_many(appended.entry(key).or_default(), &mut arrivals) {
            count += 1;
            let at = arrivals[index];
            // Another record's acceptance may stand between one whose answer was lost and the one that repeats it.
            let explains = |earlier: &usize| !lost[*earlier] && cause(faults, arrivals[*earlier], at).is_some();
            let repeated = (0..index).rev().find(explains);
            if let Some(earlier) = repeated
                && let Some(fault) = cause(faults, arrivals[earlier], at)
            {
                lost[earlier] = true;
                fault.duplicates += 1;
            } else {
                let told = format!("key {key}, accepted at {arrivals:?} ms");
                story.violate(at, What::UnexplainedDuplicate, told);
            }
        }
    }
    count
}

/// How long after `healed` the accepted rate was back at nine tenths of `keys_a_second`, for two seconds at least.
pub(crate) fn recovery(accepted_by_tick: &[u32], healed: Ms, keys_a_second: f64) -> Option<Ms> {
    let span = (BACK_FOR / TICK) as usize;
    let wanted = BACK * keys_a_second * f64::from(BACK_FOR) / 1_000.0;
    let first = healed.div_ceil(TICK) as usize;
    let windows = accepted_by_tick.get(first..)?.windows(span);
    let sums = windows.map(|window| window.iter().map(|keys| f64::from(*keys)).sum::<f64>());
    sums.enumerate().find(|(_, sum)| *sum >= wanted).map(|(ticks, _)| u32::try_from(ticks).unwrap_or(0) * TICK)
}

/// The means of whole spans of time, of which the last one ends with the last size; what is left of the beginning, when
/// workers start, is in none. A single minute would say which faults there were in it.
pub(crate) fn means(sizes: &[Size], span: Ms) -> Vec<Size> {
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return Vec::new() };
    let spans = (last.at - first.at) / span.max(1);
    let mean = |to_go: Ms| {
        let to = last.at - to_go * span;
        let some: Vec<_> = sizes.iter().filter(|size| size.at <= to && to - size.at < span).collect();
        let mean = |what: fn(&Size) -> u64| some.iter().map(|size| what(size)).sum::<u64>() / some.len().max(1) as u64;
        Size {
            at: to,
            memory_kib: mean(|size| size.memory_kib),
            descriptors: mean(|size| size.descriptors),
            threads: mean(|size| size.threads),
        }
    };
    (0..spans).rev().map(mean).collect()
}

/// What has grown too much from the span that counts to the last one; nothing where there are none between them.
pub(crate) fn not_flat(means: &[Size]) -> Vec<String> {
    let mut grown = Vec::new();
    let [_, _, then, _, .., now] = means else { return grown };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    if now.memory_kib as f64 > then.memory_kib as f64 * MEMORY_GROWTH {
        grown.push(format!("memory grew from {} to {} KiB", then.memory_kib, now.memory_kib));
    }
    if now.descriptors > then.descriptors + HANDLES_SLACK {
        grown.push(format!("descriptors grew from {} to {}", then.descriptors, now.descriptors));
    }
    if now.threads > then.threads + HANDLES_SLACK {
        grown.push(format!("threads grew from {} to {}", then.threads, now.threads));
    }
    grown
}

impl Injected {
    pub(crate) fn new(kind: &'static str, from: Ms, repeats: bool) -> Self {
        Self {
            kind,
            target: String::new(),
            from,
            to: None,
            alone: true,
            repeats,
            failed: None,
            recovery: None,
            duplicates: 0,
            lost: 0,
            wrong_letters: 0,
        }
    }
}

/// Tells of each fault whether it was alone, and how long the accepted rate took to be back.
pub(crate) fn sum_up(story: &Story, faults: &mut [Injected]) {
    let spans: Vec<_> = faults.iter().map(|fault| (fault.from, fault.to.unwrap_or(Ms::MAX))).collect();
    let ticks = u32::try_from(story.appended_by_tick.len()).unwrap_or(u32::MAX);
    let seconds = f64::from(ticks) * f64::from(TICK) / 1_000.0;
    let rate = story.appended_by_tick.iter().map(|keys| f64::from(*keys)).sum::<f64>() / seconds.max(1.0);
    for (index, fault) in faults.iter_mut().enumerate() {
        let (from, to) = spans[index];
        let others = spans.iter().enumerate().filter(|(other, _)| *other != index);
        fault.alone = others.clone().all(|(_, (other_from, other_to))| *other_to < from || *other_from > to);
        fault.recovery = fault.to.and_then(|to| recovery(&story.accepted_by_tick, to, rate));
    }
}
