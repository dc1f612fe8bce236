//! The judges of the fault campaign (`tests/campaign`), tried on small stories: each finds what it is there to find.

#[path = "../campaign/oracles.rs"]
#[expect(dead_code, reason = "what only the campaign itself uses")]
mod oracles;
#[path = "../campaign/records.rs"]
mod records;
#[path = "../campaign/schedule.rs"]
#[expect(dead_code, reason = "what only the campaign itself uses")]
mod schedule;
#[path = "../campaign/story.rs"]
#[expect(dead_code, reason = "what only the campaign itself uses")]
mod story;

use std::collections::BTreeMap;

use oracles::{Injected, Size};
use records::{AcceptedKey, Drafts, Expected, Kind, REMOVABLE, accepted_key, task_name, task_of};
use story::{Found, Letter, Ms, Raw, Story, What};

fn raw(text: &str) -> Raw {
    (b"key".to_vec(), text.as_bytes().to_vec(), Vec::new())
}

fn expected(kind: Kind, first: u32, count: u8) -> Expected {
    Expected { kind, first, count }
}

/// A story with these records in partition 0, appended at 1,000, 2,000 and so on.
fn story(records: &[Expected]) -> Story {
    let mut story = Story::default();
    for (offset, expected) in (0..).zip(records) {
        let at = 1_000 * (u32::try_from(offset).unwrap() + 1);
        story.found(0, offset, Found { expected: *expected, at }, raw("value"));
    }
    story
}

fn accept(story: &mut Story, key: u32, at: Ms) {
    story.accepted(AcceptedKey::Good(key), at);
}

fn letter(offset: i64, reason: &str, failed_keys: &[&str], at: Ms) -> Letter {
    let failed_keys = failed_keys.iter().map(|&key| key.to_owned()).collect();
    Letter { at, failed_at: at, source: (0, offset), reason: reason.to_owned(), failed_keys, raw: raw("value") }
}

fn settled(story: &Story) -> Vec<Option<Ms>> {
    story.outcomes().map(|(.., settled)| settled).collect()
}

fn removable_key() -> u32 {
    (0..100_000).find(|key| task_of(*key) == REMOVABLE).unwrap()
}

#[test]
fn a_record_is_accounted_for_only_by_a_request_that_arrived_after_it_was_there() {
    let mut story = story(&[expected(Kind::Plain, 5, 1), expected(Kind::Plain, 5, 1)]);
    accept(&mut story, 5, 1_500);
    assert_eq!(settled(&story), [Some(1_500), None], "an earlier acceptance of the same key proves nothing");
    accept(&mut story, 5, 900);
    assert_eq!(settled(&story), [Some(1_500), None]);
    accept(&mut story, 5, 2_000);
    assert_eq!(settled(&story), [Some(1_500), Some(2_000)]);
}

#[test]
fn a_record_with_a_refused_key_needs_its_other_keys_accepted_and_its_dead_letter() {
    let mut story = story(&[expected(Kind::Mixed, 0, 2), expected(Kind::Poison, 3, 1), expected(Kind::Skipped, 4, 1)]);
    assert_eq!(settled(&story), [None, None, Some(3_000)]);
    story.letter(letter(0, "refused", &["refuse/0"], 1_200));
    accept(&mut story, 0, 1_300);
    assert_eq!(settled(&story)[0], None);
    accept(&mut story, 1, 1_400);
    story.letter(letter(1, "invalid_json", &[], 2_500));
    assert_eq!(settled(&story), [Some(1_400), Some(2_500), Some(3_000)]);
    assert!(story.judged_letters().all(|(_, wrong)| wrong.is_none()));
}

#[test]
fn a_commit_point_that_passes_what_is_not_accounted_for_by_then_is_found() {
    let mut story = story(&[expected(Kind::Plain, 1, 1), expected(Kind::Plain, 2, 1), expected(Kind::Plain, 3, 1)]);
    accept(&mut story, 1, 1_100);
    accept(&mut story, 2, 9_000);
    story.commit_seen(0, 1, 3_000);
    story.commit_seen(0, 2, 8_000);
    story.judge_commits(false);
    assert_eq!(story.count_of(What::CommittedAhead), 1, "2 was accepted only after it was committed");
    story.commit_seen(0, 1, 8_500);
    assert_eq!(story.went_back, 1);
    story.commit_seen(0, 3, 9_500);
    story.judge_commits(false);
    assert_eq!(story.count_of(What::CommittedAhead), 1, "the readers may yet tell");
    story.judge_commits(true);
    assert_eq!(story.count_of(What::CommittedAhead), 2);
}

#[test]
fn what_was_neither_accepted_nor_dead_lettered_is_lost() {
    let mut story = story(&[expected(Kind::Plain, 1, 1), expected(Kind::Refused, 2, 1), expected(Kind::Plain, 3, 1)]);
    accept(&mut story, 1, 1_100);
    let mut faults = [Injected { to: Some(2_100), ..Injected::new("kill", 1_900, true) }];
    oracles::lost(&mut story, &mut faults);
    assert_eq!((story.count_of(What::Lost), faults[0].lost), (2, 2));
}

#[test]
fn a_dead_letter_of_what_oms_takes_is_wrong_unless_its_task_was_gone() {
    let gone = removable_key();
    let records = [expected(Kind::Plain, 1, 1), expected(Kind::Plain, gone, 1), expected(Kind::Refused, 2, 1)];
    let mut story = story(&records);
    story.task_gone(5_000);
    story.task_back(6_000);
    let of_gone = format!("k/{gone}");
    story.letter(letter(1, "task_not_found", &[&of_gone], 5_500));
    story.letter(letter(2, "refused", &["refuse/2"], 3_500));
    assert_eq!(settled(&story)[1..], [Some(5_500), Some(3_500)]);
    // It waited for other keys of its record, long after the task was back.
    story.letter(Letter { failed_at: 5_600, ..letter(1, "task_not_found", &[&of_gone], 90_000) });
    let mut faults = [];
    oracles::wrong_letters(&mut story, &mut faults);
    assert_eq!(story.count_of(What::WronglyDeadLettered), 0);
    story.letter(letter(0, "refused", &["k/1"], 1_500));
    story.letter(Letter { failed_at: 4_900, ..letter(1, "task_not_found", &[&of_gone], 5_500) });
    story.letter(letter(9, "refused", &["refuse/2"], 1_500));
    story.letter(Letter { raw: raw("other"), ..letter(2, "refused", &["refuse/2"], 3_500) });
    oracles::wrong_letters(&mut story, &mut faults);
    assert_eq!(story.count_of(What::WronglyDeadLettered), 4, "{:?}", story.violations);
    assert_eq!(story.repeated_letters(), 3);
}

#[test]
fn what_must_not_be_accepted_is_found() {
    let mut story = Story::default();
    for (task, key) in [(task_name(0), "refuse%2F1"), (task_name(1), "k%2F0"), (task_name(0), "skip%2F1")] {
        story.accepted(accepted_key(&task, key), 1);
    }
    story.accepted(accepted_key(&task_name(0), "k%2F0"), 1);
    assert_eq!(story.count_of(What::WronglyAccepted), 3);
}

#[test]
fn a_key_that_is_accepted_more_often_than_it_was_written_is_counted_and_given_to_the_fault_that_explains_it() {
    assert_eq!(oracles::too_many(&mut [100], &mut [150, 300, 200]), [1, 2]);
    assert!(oracles::too_many(&mut [100, 250], &mut [150, 300]).is_empty());
    assert_eq!(oracles::too_many(&mut [100, 400], &mut [150, 300]), [1]);
    let mut story = story(&[1, 2, 3].map(|key| expected(Kind::Plain, key, 1)));
    for (key, at) in [(1, 1_100), (1, 90_000), (2, 500_000), (2, 500_100), (3, 699_900), (3, 700_200)] {
        accept(&mut story, key, at);
    }
    let mut faults = [
        Injected { to: Some(1_300), ..Injected::new("kill", 1_200, true) },
        Injected { to: Some(1_500), ..Injected::new("503", 1_400, false) },
        Injected { to: Some(701_000), ..Injected::new("OMS: reset during the answer", 700_000, true) },
    ];
    assert_eq!(oracles::duplicates(&mut story, &mut faults), 3);
    assert_eq!((faults[0].duplicates, faults[1].duplicates), (1, 0), "a 503 repeats nothing");
    assert_eq!(faults[2].duplicates, 1, "the answer to a request from just before it was under way");
    assert_eq!(story.count_of(What::UnexplainedDuplicate), 1);
}

#[test]
fn an_acceptance_that_repeats_a_lost_answer_is_explained_though_another_record_was_accepted_in_between() {
    let mut story = story(&[1, 1].map(|key| expected(Kind::Plain, key, 1))); // at 1,000 and 2,000
    let mut faults = [Injected { to: Some(1_500), ..Injected::new("OMS: reset after the request", 1_000, true) }];
    for at in [1_200, 4_000, 4_100] {
        accept(&mut story, 1, at);
    }
    assert_eq!(oracles::duplicates(&mut story, &mut faults), 1);
    assert_eq!((faults[0].duplicates, story.count_of(What::UnexplainedDuplicate)), (1, 0));
    accept(&mut story, 1, 4_200);
    oracles::duplicates(&mut story, &mut faults);
    assert_eq!(story.count_of(What::UnexplainedDuplicate), 1, "one lost answer is repeated once");
}

#[test]
fn recovery_is_when_nine_tenths_of_the_rate_are_back_for_two_seconds() {
    let mut ticks = vec![10; 100];
    ticks.extend([0; 50]);
    ticks.extend([5; 50]);
    ticks.extend([9; 30]);
    assert_eq!(oracles::recovery(&ticks, 5_000, 100.0), Some(0));
    assert_eq!(oracles::recovery(&ticks, 11_000, 100.0), Some(9_000));
    assert_eq!(oracles::recovery(&ticks, 11_000, 200.0), None);
    assert_eq!(oracles::recovery(&ticks, 99_000, 100.0), None);
}

#[test]
fn growth_of_memory_descriptors_and_threads_is_found() {
    // Two sizes in each span, and one before them all.
    let means = |spans: &[(u64, u64)]| {
        let size = |at, (memory_kib, descriptors)| Size { at, memory_kib, descriptors, threads: 10 };
        let two = |(span, &(memory_kib, descriptors)): (u32, &(u64, u64))| {
            let at = 4_000 + 300_000 * span;
            [size(at, (memory_kib - 90, descriptors)), size(at + 299_000, (memory_kib + 90, descriptors + 2))]
        };
        let sizes: Vec<_> = std::iter::once(size(0, (1, 1))).chain((0..).zip(spans).flat_map(two)).collect();
        oracles::means(&sizes, 300_000)
    };
    let flat = means(&[(500, 10), (700, 20), (1_000, 50), (5_000, 70), (1_050, 60)]);
    let sizes: Vec<_> = flat.iter().map(|size| (size.memory_kib, size.descriptors)).collect();
    assert_eq!(sizes, [(500, 11), (700, 21), (1_000, 51), (5_000, 71), (1_050, 61)]);
    assert!(oracles::not_flat(&flat).is_empty());
    assert_eq!(oracles::not_flat(&means(&[(500, 10), (700, 20), (1_000, 50), (1_000, 50), (1_200, 90)])).len(), 2);
    assert!(oracles::not_flat(&means(&[(500, 10), (700, 20), (1_200, 90)])).is_empty(), "too short to tell");
}

#[test]
fn every_kind_of_fault_comes_as_often_as_the_others() {
    let mut deck = schedule::Deck::new(3, 7);
    let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
    for round in 0..70 {
        let kind = deck.draw(|kind| kind != round % 7).or_else(|| deck.draw(|_| true)).unwrap();
        *counts.entry(kind).or_default() += 1;
    }
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [10; 7]);
}

#[test]
fn the_same_seed_draws_the_same_records_of_every_kind_and_each_tells_what_must_become_of_it() {
    let drawn = |seed| {
        let mut drafts = Drafts::new(seed);
        (0..5_000).map(|_| drafts.draw()).collect::<Vec<_>>()
    };
    let drafts = drawn(1);
    assert_eq!(drafts, drawn(1));
    assert_ne!(drafts, drawn(2));
    let mut kinds = std::collections::HashSet::new();
    for draft in &drafts {
        let expected = Expected::of(draft.key.as_bytes()).unwrap();
        kinds.insert(expected.kind);
        let value: Option<serde_json::Value> = serde_json::from_str(&draft.value).ok();
        assert_eq!(value.is_none(), expected.kind == Kind::Poison, "{draft:?}");
        let keys = value.map_or(0, |value| value["keys"].as_array().unwrap().len());
        let good = expected.good_keys().len();
        assert!(expected.good_keys().all(|key| task_of(key) == expected.task()));
        let others = usize::from(expected.refused_key().is_some() || expected.kind == Kind::Skipped);
        assert!(keys == good + others || expected.kind == Kind::Poison, "{draft:?}");
    }
    assert_eq!(kinds.len(), 5);
}
