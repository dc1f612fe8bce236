//! The core against the model of [`super::world`], by property tests.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::super::answer::Verdict;
use super::super::event::Origin;
use super::super::*;
use super::world::*;

/// Does all of it, lets everything settle, and nothing is left. The world checks each step by itself.
fn check_to_the_end(mut world: World, ops: Vec<Op>) -> Result<(), TestCaseError> {
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
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(600), max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_commit_point_never_passes_an_unsettled_change(ops in prop::collection::vec(op(), 1..120)) {
        check_to_the_end(World::new(), ops)?;
    }

    #[test]
    fn a_commit_point_never_passes_an_unsettled_change_while_tasks_are_listed_and_stop(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::discovering();
        world.step(Input::Tick);
        check_to_the_end(world, ops)?;
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
    fn refused_keys_are_found_in_few_requests(n in 1..=10_u8, drawn in prop::collection::btree_set(0..10_u8, 1..10)) {
        let refused: BTreeSet<u8> = drawn.into_iter().map(|key| key % n).collect();
        let mut settings = Settings { linger: Duration::ZERO, ..Settings::default() };
        settings.max_in_flight = 1;
        let mut world = World { pipeline: Pipeline::new(settings), ..World::new() };
        let mut requests = 0_u32;
        world.logs[0] = vec![(0..n).map(|key| (1, 50 + key)).collect()];
        world.assign_unchecked(0);
        while let Some((id, changes, _)) = world.next_submission() {
            requests += 1;
            let is_refused = changes.iter().any(|(_, key)| refused.contains(&(*key - 50)));
            let (verdict, status) = if is_refused { (Verdict::Refused, 400) } else { (Verdict::Accepted, 200) };
            world.step_unchecked(Input::Answered(id, answer(verdict, status)));
        }
        let failed: Vec<_> = world.out_letters.iter().flat_map(|(_, letter)| letter.failure.keys.clone()).collect();
        prop_assert_eq!(failed.len(), refused.len());
        prop_assert_eq!(world.out_letters.len(), 1, "one dead letter lists all keys that failed alike");
        let k = u32::try_from(refused.len()).unwrap();
        let halvings = u32::from(n).next_power_of_two().trailing_zeros(); // ceil(log2 n)
        prop_assert!(requests <= 1 + 2 * k * halvings, "{} requests for {} refused of {}", requests, k, n);
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
