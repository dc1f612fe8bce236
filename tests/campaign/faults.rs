//! Everything that is broken, one small struct a kind of fault: it breaks something, and mends it. What it hits is drawn;
//! when it comes and how long it lasts is decided elsewhere.

mod kafka;
mod oms;
mod worker;

use crate::schedule::Domain;
use crate::world::World;

/// Something that breaks.
pub(crate) trait Fault: Send {
    /// Breaks it. Gives what was hit.
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String>;
    /// Mends it. Called even where breaking it failed half-way.
    fn heal(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<()>;
}

/// A kind of fault.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) domain: Domain,
    /// For how long it lasts, in milliseconds, besides what breaking and mending take.
    pub(crate) lasts: std::ops::Range<u64>,
    /// Whether it may make OMS accept a key twice, because an answer or a commit is lost.
    pub(crate) repeats: bool,
    pub(crate) make: fn() -> Box<dyn Fault>,
}

/// All kinds, in the order of the report.
pub(crate) fn kinds() -> Vec<Kind> {
    [worker::kinds(), kafka::kinds(), oms::kinds()].into_iter().flatten().collect()
}
