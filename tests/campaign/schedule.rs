//! Which fault comes when: a deck of all kinds, dealt again and again, so that each comes as often as the others. Pure.

use std::time::Duration;

/// Pause between two faults, in milliseconds, and how many are there at once at most.
const PAUSE_MS: std::ops::Range<u64> = 1_500..6_000;
pub(crate) const AT_ONCE: usize = 2;

/// What a fault breaks. Two faults of one domain are not there at once: two brokers away are no Kafka at all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Domain {
    Worker,
    Kafka,
    Oms,
}

/// A deck of the numbers of kinds.
pub(crate) struct Deck {
    random: fastrand::Rng,
    size: usize,
    left: Vec<usize>,
}

impl Deck {
    pub(crate) fn new(seed: u64, size: usize) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), size, left: Vec::new() }
    }

    /// The next kind that may come now. Those that may not keep their place.
    pub(crate) fn draw(&mut self, may: impl Fn(usize) -> bool) -> Option<usize> {
        if self.left.is_empty() {
            self.left = (0..self.size).collect();
            self.random.shuffle(&mut self.left);
        }
        let position = self.left.iter().rposition(|kind| may(*kind))?;
        Some(self.left.remove(position))
    }

    /// How long until the next fault.
    pub(crate) fn pause(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(PAUSE_MS))
    }
}
