//! Faults of OMS, and of the network between it and the workers.

use serde_json::{Value, json};

use super::{Fault, Kind};
use crate::network::Weather;
use crate::records::{REMOVABLE, TASKS, task_name};
use crate::schedule::Domain;
use crate::world::World;

/// Keys that a full event has.
const EVENT_KEYS: u32 = 10;

pub(super) fn kinds() -> Vec<Kind> {
    let kind = |name, lasts, repeats, make| Kind { name, domain: Domain::Oms, lasts, repeats, make };
    vec![
        kind("OMS: 429", 4_000..8_000, false, || Box::new(Quota { retry_after: "0s" })),
        kind("OMS: 429 with Retry-After", 4_000..8_000, false, || Box::new(Quota { retry_after: "2s" })),
        kind("OMS: 500", 3_000..7_000, false, || rule("500", json!({"status": 500, "ratio": 0.7}))),
        kind("OMS: 502 with HTML", 3_000..7_000, false, || {
            let headers = json!({"content-type": "text/html"});
            rule("502", json!({"status": 502, "body": "<html><h1>Bad Gateway</h1></html>", "headers": headers}))
        }),
        kind("OMS: 503", 3_000..7_000, false, || rule("503", json!({"status": 503, "all_requests": true}))),
        kind("OMS: reset before the request", 3_000..7_000, false, || broken("reset_before", 0.5)),
        kind("OMS: reset during the answer", 3_000..7_000, true, || broken("reset_during", 0.5)),
        kind("OMS: reset after the request", 3_000..7_000, true, || broken("reset_after", 0.5)),
        kind("OMS: hangs", 3_000..7_000, true, || broken("hang", 0.3)),
        kind("OMS: hangs after it accepted", 3_000..7_000, true, || broken("hang_after", 0.3)),
        kind("OMS: drips", 3_000..7_000, true, || broken("drip", 0.3)),
        kind("OMS: outage", 55_000..75_000, false, || rule("outage", json!({"status": 503, "all_requests": true}))),
        kind("OMS: credentials rotated", 1_000..3_000, false, || Box::new(Rotated)),
        kind("OMS: 401 for all", 3_000..7_000, false, || {
            rule("401", json!({"status": 401, "code": "APIGW.0301", "all_requests": true}))
        }),
        kind("OMS: clock off", 3_000..7_000, false, || Box::new(ClockOff)),
        kind("OMS: task deleted and back", 3_000..6_000, false, || Box::new(TaskDeleted)),
        kind("OMS: task stopped", 4_000..9_000, false, || Box::<TaskStopped>::default()),
        kind("network to OMS: delayed", 3_000..8_000, true, || Box::new(Cut(Weather::Delay))),
        kind("network to OMS: halved", 3_000..8_000, true, || Box::new(Cut(Weather::Halve))),
        kind("network to OMS: reset", 3_000..8_000, true, || Box::new(Cut(Weather::Reset))),
        kind("network to OMS: black hole", 4_000..12_000, true, || Box::new(Cut(Weather::BlackHole))),
    ]
}

/// A rule of the simulator.
struct Rule {
    name: &'static str,
    rule: Value,
}

fn rule(name: &'static str, rule: Value) -> Box<dyn Fault> {
    Box::new(Rule { name, rule })
}

fn broken(failure: &'static str, ratio: f64) -> Box<dyn Fault> {
    rule(failure, json!({"failure": failure, "ratio": ratio}))
}

impl Fault for Rule {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        world.oms.set_rules(self.name, Some(self.rule.clone()))?;
        Ok(self.rule.to_string())
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        world.oms.set_rules(self.name, None)
    }
}

/// A quota of two fifths of what is needed.
struct Quota {
    retry_after: &'static str,
}

impl Fault for Quota {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        let quota = (world.rate * 2 / 5 / EVENT_KEYS).max(2);
        let burst = (quota / 10).max(1);
        let quota = json!({"requests_per_second": quota, "burst": burst, "retry_after": self.retry_after});
        world.oms.send(&quota)?;
        Ok(quota.to_string())
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        world.oms.send(&json!({"requests_per_second": 0, "retry_after": "0s"}))
    }
}

/// OMS takes a new key only; the workers' mounted Secret has it a moment later.
struct Rotated;

impl Fault for Rotated {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let number = random.u32(1_000..);
        let (access_key, secret_key) = (format!("AK{number}"), format!("SK{number}"));
        world.oms.send(&json!({"access_keys": [{"access_key": access_key, "secret_key": secret_key}]}))?;
        std::thread::sleep(std::time::Duration::from_millis(random.u64(0..1_000)));
        world.fleet.credentials(&access_key, &secret_key)?;
        Ok(access_key)
    }

    fn heal(&mut self, _: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        Ok(())
    }
}

struct ClockOff;

impl Fault for ClockOff {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let ahead = random.choice([-1_800, 1_800]).unwrap_or(1_800);
        world.oms.send(&json!({"clock_ahead_seconds": ahead}))?;
        Ok(format!("{ahead} s"))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        world.oms.send(&json!({"clock_ahead_seconds": 0}))
    }
}

struct TaskDeleted;

impl Fault for TaskDeleted {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        let task = task_name(REMOVABLE);
        world.task_gone();
        world.oms.send(&json!({"remove_tasks": [task]}))?;
        Ok(task)
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        world.oms.send(&json!({"tasks": [{"id": task_name(REMOVABLE)}]}))?;
        world.task_back();
        Ok(())
    }
}

#[derive(Default)]
struct TaskStopped(Option<String>);

impl Fault for TaskStopped {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let task = task_name(random.u32(0..TASKS));
        self.0 = Some(task.clone());
        world.oms.send(&json!({"tasks": [{"id": task, "status": "STOPPED"}]}))?;
        Ok(task)
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        self.0.take().map_or(Ok(()), |task| world.oms.send(&json!({"tasks": [{"id": task}]})))
    }
}

struct Cut(Weather);

impl Fault for Cut {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        world.network.set(&[world.oms_proxy], self.0);
        Ok(format!("{:?}", self.0))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        world.network.set(&[world.oms_proxy], Weather::Fair);
        Ok(())
    }
}
