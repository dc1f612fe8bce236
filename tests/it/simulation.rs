//! Many small worlds in virtual time: several workers, partitions that move between them, workers that die, and an OMS
//! that fails in every way it can. In each of them every change must end accepted or dead-lettered, nothing that OMS
//! would have taken may be dead-lettered, and no commit may ever pass an unsettled change.
//!
//! A world is made from its seed alone. `OMS_SYNC_TEST_SEED=n` runs just that one, `OMS_SYNC_TEST_SEEDS=n` that many.

mod oms;
mod world;

use world::World;

/// Worlds that a plain test run goes through.
const SEEDS: u64 = 10_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn nothing_is_lost_in_any_of_ten_thousand_worlds() {
    if let Some(seed) = variable("OMS_SYNC_TEST_SEED") {
        World::new(seed).run();
        return;
    }
    let seeds = variable("OMS_SYNC_TEST_SEEDS").unwrap_or(SEEDS);
    let mut totals = world::Totals::default();
    for seed in 0..seeds {
        let counts = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(counts.is_ok(), "seed {seed} failed; OMS_SYNC_TEST_SEED={seed} runs it alone");
        totals += counts.unwrap_or_default();
    }
    println!("{seeds} worlds: {totals:?}");
    assert!(totals.kills > 0 && totals.revokes > 0 && totals.losses > 0 && totals.fenced > 0, "{totals:?}");
    assert!(totals.dead_letters > 0 && totals.holds > 0 && totals.unanswered > 0 && totals.listings > 0, "{totals:?}");
}
