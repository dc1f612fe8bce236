//! Faults of workers. The first worker is never among them, and one that is down is not hit again.

use anyhow::Context as _;

use super::{Fault, Kind};
use crate::clock::wait_until;
use crate::fleet::{Membership, SESSION};
use crate::schedule::Domain;
use crate::world::World;

pub(super) fn kinds() -> Vec<Kind> {
    let beyond = u64::try_from(SESSION.as_millis()).unwrap_or(0);
    let kind = |name, lasts, make| Kind { name, domain: Domain::Worker, lasts, repeats: true, make };
    vec![
        kind("worker: kill -9", 0..3_000, || Box::new(Ends::by(|world, number| world.fleet.kill(number)))),
        kind("worker: SIGTERM and restart", 0..3_000, || Box::new(Ends::by(World::terminate))),
        kind("worker: frozen beyond the session", beyond + 2_000..beyond + 7_000, || Box::<Freeze>::default()),
        kind("worker: scaled up and down again", 6_000..15_000, || Box::<ScaleUp>::default()),
        kind("worker: scaled down and up again", 6_000..15_000, || Box::new(Ends::by(World::terminate))),
        kind("worker: other group protocol", 0..1_000, || Box::<OtherProtocol>::default()),
        kind("worker: static member kill -9", 500..3_000, || Box::<StaticKill>::default()),
    ]
}

/// A worker that runs, but never the first.
fn victim(world: &World, random: &mut fastrand::Rng) -> anyhow::Result<usize> {
    let running: Vec<_> = (1..world.replicas).filter(|number| world.fleet.runs(*number)).collect();
    random.choice(running).context("no worker runs that may be hit")
}

/// A worker ends, one way or the other, and another one comes in its place.
struct Ends {
    how: fn(&World, usize) -> anyhow::Result<Membership>,
    number: Option<usize>,
}

impl Ends {
    fn by(how: fn(&World, usize) -> anyhow::Result<Membership>) -> Self {
        Self { how, number: None }
    }
}

impl Fault for Ends {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let number = victim(world, random)?;
        self.number = Some(number);
        let membership = (self.how)(world, number)?;
        Ok(format!("worker {number}, {}", membership.name()))
    }

    fn heal(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<()> {
        self.number.map_or(Ok(()), |number| world.fleet.start(number, Membership::draw(random)))
    }
}

#[derive(Default)]
struct Freeze(Option<usize>);

impl Fault for Freeze {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let number = victim(world, random)?;
        self.0 = Some(number);
        world.fleet.freeze(number, true)?;
        Ok(format!("worker {number}"))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), |number| world.fleet.freeze(number, false))
    }
}

#[derive(Default)]
struct ScaleUp(Option<usize>);

impl Fault for ScaleUp {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let number = world.replicas;
        let membership = Membership::draw(random);
        world.fleet.start(number, membership)?;
        self.0 = Some(number);
        Ok(format!("worker {number}, {}", membership.name()))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), |number| world.terminate(number).map(drop))
    }
}

#[derive(Default)]
struct OtherProtocol(Option<usize>);

impl Fault for OtherProtocol {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let number = victim(world, random)?;
        let before = world.terminate(number)?;
        let after = Membership { newer: !before.newer, ..before };
        world.fleet.start(number, after)?;
        self.0 = Some(number);
        Ok(format!("worker {number}, {} -> {}", before.name(), after.name()))
    }

    fn heal(&mut self, _: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct StaticKill(Option<(usize, Membership)>);

impl Fault for StaticKill {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let number = victim(world, random)?;
        let membership = Membership { stays: true, ..Membership::draw(random) };
        world.terminate(number)?;
        self.0 = Some((number, membership));
        world.fleet.start(number, membership)?;
        wait_until(2 * SESSION, || world.fleet.is_ready(number));
        world.fleet.kill(number)?;
        Ok(format!("worker {number}, {}", membership.name()))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), |(number, membership)| world.fleet.start(number, membership))
    }
}
