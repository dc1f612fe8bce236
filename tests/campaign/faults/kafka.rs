//! Faults of Kafka, and of the network between it and the workers.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use super::{Fault, Kind};
use crate::clock::wait_until;
use crate::fleet::{GROUP, TOPIC};
use crate::kafka::{BROKERS, OFFSETS_PARTITIONS, SMALL};
use crate::network::Weather;
use crate::schedule::Domain;
use crate::watch::{LETTER_PARTITIONS, dead_letter_topic};
use crate::world::World;

/// Longest that reading the last dead letters may take.
const LETTERS_READ: Duration = Duration::from_secs(20);
/// Most partitions that the topic comes to have.
const MAX_PARTITIONS: i32 = 48;

pub(super) fn kinds() -> Vec<Kind> {
    let kind = |name, lasts, make| Kind { name, domain: Domain::Kafka, lasts, repeats: true, make };
    vec![
        kind("Kafka: broker kill -9", 1_000..10_000, || Box::<Kill>::default()),
        kind("Kafka: broker restart", 0..2_000, || Box::<Restart>::default()),
        kind("Kafka: rolling restart", 0..1, || Box::new(Rolling)),
        kind("Kafka: leader moved", 0..1_000, || Box::new(Moved { coordinator: false })),
        kind("Kafka: coordinator moved", 0..1_000, || Box::new(Moved { coordinator: true })),
        kind("Kafka: partition added", 0..1_000, || Box::new(Partition)),
        kind("Kafka: dead-letter topic deleted and made again", 3_000..7_000, || Box::<LettersRemade>::default()),
        kind("Kafka: broker out of disk", 2_000..6_000, || Box::new(DiskFull)),
        kind("network to Kafka: delayed", 3_000..8_000, || {
            Box::new(Cut { weather: Weather::Delay, ports: Vec::new() })
        }),
        kind("network to Kafka: halved", 3_000..8_000, || Box::new(Cut { weather: Weather::Halve, ports: Vec::new() })),
        kind("network to Kafka: reset", 3_000..8_000, || Box::new(Cut { weather: Weather::Reset, ports: Vec::new() })),
        kind("network to Kafka: black hole", 4_000..12_000, || {
            Box::new(Cut { weather: Weather::BlackHole, ports: Vec::new() })
        }),
    ]
}

#[derive(Default)]
struct Kill(Option<usize>);

impl Fault for Kill {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let id = random.usize(1..=BROKERS);
        self.0 = Some(id);
        world.kafka.kill(id)?;
        Ok(format!("broker {id}"))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), |id| world.kafka.start(id))
    }
}

#[derive(Default)]
struct Restart(Option<usize>);

impl Fault for Restart {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let id = random.usize(1..=BROKERS);
        self.0 = Some(id);
        world.kafka.stop(id)?;
        Ok(format!("broker {id}"))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), |id| world.kafka.start(id))
    }
}

struct Rolling;

impl Fault for Rolling {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        for id in 1..=BROKERS {
            world.kafka.stop(id)?;
            world.kafka.start(id)?;
        }
        Ok("all brokers".to_owned())
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        (1..=BROKERS).try_for_each(|id| world.kafka.start(id))
    }
}

/// Leadership of one partition of the topic, or of the one that the group's coordinator sits on, goes to another broker.
struct Moved {
    coordinator: bool,
}

impl Fault for Moved {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let topic = if self.coordinator { "__consumer_offsets" } else { TOPIC };
        let there = world.layout(topic)?;
        let number =
            if self.coordinator { coordinator_partition(GROUP) } else { random.i32(0..i32::try_from(there.len())?) };
        let (_, leader, mut replicas) =
            there.into_iter().find(|(id, ..)| *id == number).context("no such partition")?;
        while replicas.first() == Some(&leader) {
            random.shuffle(&mut replicas);
        }
        let file = world.folder.join("reassignment.json");
        let one = json!({"topic": topic, "partition": number, "replicas": replicas});
        fs::write(&file, json!({"version": 1, "partitions": [one]}).to_string())?;
        let (servers, file) = (world.kafka.servers(), file.display().to_string());
        let tool = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
        let to = ["--bootstrap-server", &servers, "--reassignment-json-file", &file, "--execute"];
        world.kafka.java(&[], tool, &to)?;
        let tool = "org.apache.kafka.tools.LeaderElectionCommand";
        let number_text = number.to_string();
        let elect = ["--bootstrap-server", &servers, "--election-type", "preferred", "--topic", topic];
        world.kafka.java(&[], tool, &[&elect[..], &["--partition", &number_text]].concat())?;
        Ok(format!("{topic}-{number} from broker {leader} to {:?}", replicas.first()))
    }

    fn heal(&mut self, _: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Which partition of `__consumer_offsets` a group is kept in: Java's hash of its name.
fn coordinator_partition(group: &str) -> i32 {
    let hash = group.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    (hash & i32::MAX) % OFFSETS_PARTITIONS
}

struct Partition;

impl Fault for Partition {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        let more = i32::try_from(world.layout(TOPIC)?.len())? + 1;
        ensure!(more <= MAX_PARTITIONS, "there are {MAX_PARTITIONS} partitions already");
        world.add_partitions(TOPIC, more)?;
        Ok(format!("{more} partitions"))
    }

    fn heal(&mut self, _: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Workers are cut off while the last dead letters are read and the topic is deleted, so that none is deleted unread. What
/// must be dead-lettered until the topic is there again has to wait.
#[derive(Default)]
struct LettersRemade {
    deleted: bool,
}

impl LettersRemade {
    fn delete(&mut self, world: &World, topic: &str) -> anyhow::Result<()> {
        std::thread::sleep(Duration::from_secs(1)); // what was on its way arrives
        let all_read = wait_until(LETTERS_READ, || world.watch.letters_are_read());
        ensure!(all_read, "the dead letters cannot be read within {LETTERS_READ:?}");
        world.delete_topic(topic)?;
        self.deleted = true;
        Ok(())
    }
}

impl Fault for LettersRemade {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        let topic = dead_letter_topic();
        let ports: Vec<_> = (1..=BROKERS).map(|id| world.kafka.proxied(id).0).collect();
        world.network.set(&ports, Weather::BlackHole);
        let deleted = self.delete(world, &topic);
        world.network.set(&ports, Weather::Fair);
        deleted.map(|()| topic)
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        if self.deleted {
            world.watch.letters_made_anew();
            let made = wait_until(Duration::from_mins(1), || {
                world.create_topic(&dead_letter_topic(), LETTER_PARTITIONS).is_ok()
            });
            ensure!(made, "the dead-letter topic cannot be made again");
            self.deleted = false;
        }
        Ok(())
    }
}

struct DiskFull;

impl Fault for DiskFull {
    fn inject(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<String> {
        if let Some(why) = &world.kafka.no_small_disk {
            bail!("no small file system here: {why}");
        }
        let mut filler = File::create(world.kafka.data(SMALL).join("filler"))?;
        let zeros = vec![0; 1 << 20];
        for size in [1 << 20, 1 << 12, 1] {
            while filler.write_all(&zeros[..size]).is_ok() {}
        }
        let ended = wait_until(Duration::from_secs(15), || world.kafka.has_ended(SMALL));
        Ok(format!("broker {SMALL}{}", if ended { ", which ended" } else { "" }))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        if world.kafka.no_small_disk.is_some() {
            return Ok(());
        }
        fs::remove_file(world.kafka.data(SMALL).join("filler")).ok();
        world.kafka.kill(SMALL)?;
        world.kafka.start(SMALL)
    }
}

/// Bad weather between the workers and one broker, or all.
struct Cut {
    weather: Weather,
    ports: Vec<u16>,
}

impl Fault for Cut {
    fn inject(&mut self, world: &World, random: &mut fastrand::Rng) -> anyhow::Result<String> {
        let one = random.usize(1..=BROKERS);
        let hit = if random.bool() { vec![one] } else { (1..=BROKERS).collect() };
        self.ports = hit.iter().map(|id| world.kafka.proxied(*id).0).collect();
        world.network.set(&self.ports, self.weather);
        Ok(format!("brokers {hit:?}"))
    }

    fn heal(&mut self, world: &World, _: &mut fastrand::Rng) -> anyhow::Result<()> {
        world.network.set(&self.ports, Weather::Fair);
        Ok(())
    }
}
