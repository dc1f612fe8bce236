//! The course of a campaign: everything is started, faults come and go while observers look on, everything is healed and
//! must settle, and then the whole story is judged.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::clock::{Clock, wait_until};
use crate::faults::Kind;
use crate::fleet::{Fleet, GROUP, Membership, TOPIC};
use crate::kafka::{BROKERS, Kafka};
use crate::network::Network;
use crate::oms::{self, Oms};
use crate::options::Options;
use crate::oracles::{self, Injected, Size};
use crate::processes::Processes;
use crate::producer::Writer;
use crate::report::{self, Facts};
use crate::schedule::{AT_ONCE, Deck};
use crate::story::{Ms, What};
use crate::watch::{LETTER_PARTITIONS, Watch, committed, dead_letter_topic};
use crate::world::World;

/// Partitions that the source topic begins with.
const PARTITIONS: i32 = 12;
/// What the workers get to join and to come up to speed.
const WARM_UP: Duration = Duration::from_secs(15);
/// Longest that everything may take to settle once nothing is broken any more.
const SETTLE: Duration = Duration::from_mins(12);
const READY: Duration = Duration::from_secs(90);
/// Longest that one recovery is waited for when faults come one by one.
const RECOVERY: Duration = Duration::from_mins(3);
/// A worker's size is compared by means of so long, in which the deck of faults is dealt about once.
const SIZE_SPAN: Ms = 300_000;
const LOOK: Duration = Duration::from_millis(200);
const LOOK_LONGER: Duration = Duration::from_secs(5);
const WRITE_REPORT: Duration = Duration::from_mins(1);

pub(crate) struct Campaign {
    options: Options,
    world: Arc<World>,
    kinds: Arc<Vec<Kind>>,
    observers: Vec<JoinHandle<()>>,
    sizes: Mutex<Vec<Size>>,
    revision: String,
    _processes: Processes,
}

impl Campaign {
    /// Starts everything, and waits until it runs.
    pub(crate) fn start(options: Options, kinds: Vec<Kind>) -> anyhow::Result<Self> {
        let folder = prepare(&options.folder)?;
        let jars = options.kafka.clone().map_or_else(fetch_kafka, Ok)?;
        let processes = Processes::new(&folder.join(format!("broker-{}/data", crate::kafka::SMALL)))?;
        let minutes = options.minutes.unwrap_or(0.0) + 30.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds of MiB")]
        let disk_mib = 768 + (minutes * 60.0 * f64::from(options.rate) * 160.0 / 1_048_576.0) as u64;
        let kafka = Kafka::new(&jars, &folder, options.port, disk_mib, &processes)?;
        (1..=BROKERS).try_for_each(|id| kafka.launch(id))?;
        (1..=BROKERS).try_for_each(|id| kafka.wait_ready(id))?;
        say("the brokers are ready");
        let (oms_proxy, oms_port) = (options.port + 41, options.port + 40);
        let proxies: Vec<_> = (1..=BROKERS).map(|id| kafka.proxied(id)).chain([(oms_proxy, oms_port)]).collect();
        let network = Network::start(&proxies)?;
        let brokers =
            (1..=BROKERS).map(|id| format!("127.0.0.1:{}", kafka.proxied(id).0)).collect::<Vec<_>>().join(",");
        let endpoint = format!("http://127.0.0.1:{oms_proxy}");
        let clock = Clock::start();
        let world = World {
            clock,
            replicas: options.replicas as usize,
            rate: options.rate,
            network,
            oms: Oms::start(&folder, oms_port, &processes)?,
            oms_proxy,
            fleet: Fleet::new(&folder, (brokers, endpoint), options.port + 50, options.replicas + 1, &processes)?,
            watch: Watch::new(clock, kafka.servers()),
            kafka,
            folder,
            writer: Mutex::default(),
            injected: Mutex::default(),
        };
        for (topic, partitions) in [(TOPIC.to_owned(), PARTITIONS), (dead_letter_topic(), LETTER_PARTITIONS)] {
            ensure!(wait_until(READY, || world.create_topic(&topic, partitions).is_ok()), "cannot make {topic}");
        }
        let campaign = Self {
            observers: world.watch.start(&oms::journal(&world.folder))?,
            world: Arc::new(world),
            kinds: Arc::new(kinds),
            options,
            sizes: Mutex::default(),
            revision: report::revision(),
            _processes: processes,
        };
        campaign.start_workers()?;
        Ok(campaign)
    }

    fn start_workers(&self) -> anyhow::Result<()> {
        let world = &self.world;
        let mut random = fastrand::Rng::with_seed(self.options.seed);
        for number in 0..world.replicas {
            world.fleet.start(number, Membership::draw(&mut random))?;
            // One after the other: members of both protocols that join at a group's birth stop Kafka 4.3.1's coordinator
            // (NoSuchElementException in ConsumerGroup.fromClassicGroup).
            ensure!(wait_until(READY, || world.fleet.is_ready(number)), "worker {number} is not ready: see its log");
        }
        say("the workers are ready");
        let writer = Writer::start(&world.kafka.servers(), world.rate, self.options.seed)?;
        *world.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        std::thread::sleep(WARM_UP);
        Ok(())
    }

    /// Faults at random, for as long as was asked.
    pub(crate) fn at_random(&self) -> anyhow::Result<()> {
        let world = &self.world;
        let mut deck = Deck::new(self.options.seed, self.kinds.len());
        let mut looks = Looks::new();
        let end = Instant::now() + Duration::from_secs_f64(self.options.minutes.unwrap_or(0.0) * 60.0);
        let mut next = Instant::now();
        let mut there: Vec<(usize, JoinHandle<()>)> = Vec::new();
        let mut number = 0;
        while Instant::now() < end {
            there.retain(|(_, thread)| !thread.is_finished());
            if Instant::now() >= next && there.len() < AT_ONCE {
                let domain = |kind: usize| self.kinds[kind].domain;
                let may = |kind| there.iter().all(|(other, _)| domain(kind) != domain(*other));
                if let Some(kind) = deck.draw(may) {
                    number += 1;
                    there.push((
                        kind,
                        self.inject(kind, self.options.seed.wrapping_mul(1_000_003).wrapping_add(number))?,
                    ));
                    next = Instant::now() + deck.pause();
                }
            }
            self.look(&mut looks)?;
        }
        for (_, thread) in there {
            while !thread.is_finished() {
                self.look(&mut looks)?;
            }
            thread.join().ok().context("a fault's thread panicked")?;
        }
        world.oms.totals().map(drop)
    }

    /// Each kind alone, so many times, and each time until the accepted rate is back.
    pub(crate) fn one_by_one(&self, times: u32) -> anyhow::Result<()> {
        let mut looks = Looks::new();
        for round in 0..times {
            for kind in 0..self.kinds.len() {
                self.wait_steady(&mut looks)?;
                let seed = u64::from(round) << 32 | kind as u64;
                let thread = self.inject(kind, self.options.seed ^ seed)?;
                while !thread.is_finished() {
                    self.look(&mut looks)?;
                }
                thread.join().ok().context("a fault's thread panicked")?;
            }
        }
        self.wait_steady(&mut looks)
    }

    /// Until all partitions are read and the accepted rate is what is written, for a while.
    fn wait_steady(&self, looks: &mut Looks) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut steady = 0;
        while steady < 10 && began.elapsed() < RECOVERY {
            let now = self.world.clock.now();
            let story = self.world.watch.story();
            let sum = |ticks: &[u32]| {
                let (from, to) =
                    ((now.saturating_sub(4_000) / 100) as usize, (now.saturating_sub(1_000) / 100) as usize);
                ticks.iter().take(to).skip(from).sum::<u32>()
            };
            let (accepted, appended) = (sum(&story.accepted_by_tick), sum(&story.appended_by_tick));
            drop(story);
            let is_steady =
                f64::from(accepted) > 0.9 * f64::from(appended) && f64::from(accepted) < 1.2 * f64::from(appended);
            steady = if is_steady { steady + 1 } else { 0 };
            self.look(looks)?;
        }
        Ok(())
    }

    /// Breaks something, on a thread of its own, and mends it after a while.
    fn inject(&self, kind: usize, seed: u64) -> anyhow::Result<JoinHandle<()>> {
        let (world, kinds) = (Arc::clone(&self.world), Arc::clone(&self.kinds));
        let place = {
            let mut injected = world.injected();
            injected.push(Injected::new(kinds[kind].name, world.clock.now(), kinds[kind].repeats));
            injected.len() - 1
        };
        let run = move || {
            let mut random = fastrand::Rng::with_seed(seed);
            let kind = &kinds[kind];
            let mut fault = (kind.make)();
            let lasts = Duration::from_millis(random.u64(kind.lasts.clone()));
            match fault.inject(&world, &mut random) {
                Ok(target) => world.injected()[place].target = target,
                Err(error) => world.injected()[place].failed = Some(format!("{error:#}")),
            }
            if world.injected()[place].failed.is_none() {
                std::thread::sleep(lasts);
            }
            let mut healed = fault.heal(&world, &mut random);
            for _ in 0..3 {
                if healed.is_err() {
                    std::thread::sleep(Duration::from_secs(1));
                    healed = fault.heal(&world, &mut random);
                }
            }
            let mut injected = world.injected();
            let now = world.clock.now();
            let noted = &mut injected[place];
            noted.to = Some(now);
            if let Err(error) = healed {
                noted.failed = Some(format!("not healed: {error:#}"));
            }
            let failed = noted.failed.as_ref().map(|why| format!("; FAILED: {why}")).unwrap_or_default();
            let (from, to) = (f64::from(noted.from) / 1e3, f64::from(now) / 1e3);
            say(&format!("{from:.1} s to {to:.1} s: {}, {}{failed}", noted.kind, noted.target));
        };
        Ok(std::thread::Builder::new().name("fault".to_owned()).spawn(run)?)
    }

    /// What is looked at all the time.
    fn look(&self, looks: &mut Looks) -> anyhow::Result<()> {
        let world = &self.world;
        std::thread::sleep(LOOK);
        let now = world.clock.now();
        for told in world.fleet.ended() {
            world.watch.story().violate(now, What::WorkerEnded, told);
        }
        if looks.longer.elapsed() >= LOOK_LONGER {
            looks.longer = Instant::now();
            for told in world.fleet.not_live() {
                world.watch.story().violate(now, What::NotLive, told);
            }
            // What it takes to catch up afterwards is no comparison.
            if world.writer.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                self.sizes.lock().unwrap_or_else(PoisonError::into_inner).extend(world.fleet.size(0, world.clock));
            }
            world.watch.story().judge_commits(false);
        }
        if looks.report.elapsed() >= WRITE_REPORT {
            looks.report = Instant::now();
            self.write_report("It was not over when this was written.")?;
        }
        Ok(())
    }

    /// Heals nothing more: waits until all is settled, ends everything, and judges. Gives whether all was well.
    pub(crate) fn finish(mut self) -> anyhow::Result<bool> {
        let world = Arc::clone(&self.world);
        let mut looks = Looks::new();
        let writer = world.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let written = writer.context("the producer is gone")?.stop()?;
        say(&format!("{written} records are written; waiting until all is settled"));
        let began = Instant::now();
        while !self.is_settled(written) && began.elapsed() < SETTLE {
            self.look(&mut looks)?;
        }
        if !self.is_settled(written) {
            let told = format!("not all was settled {SETTLE:?} after the last fault");
            world.watch.story().violate(world.clock.now(), What::Lag, told);
        }
        for number in 0..world.fleet.len() {
            if world.fleet.runs(number) {
                world.terminate(number)?;
            }
        }
        std::thread::sleep(Duration::from_secs(3)); // the observers see the last of it
        world.watch.end();
        for observer in self.observers.drain(..) {
            observer.join().ok().context("an observer panicked")?;
        }
        self.judge();
        let well = world.watch.story().violations.is_empty();
        self.write_report(if well { "Nothing was lost." } else { "Something is wrong: see below." })?;
        world.kafka.kill_all();
        Ok(well)
    }

    /// Whether the commit points are at the ends of all partitions, and the reader has seen all that was written.
    fn is_settled(&self, written: u64) -> bool {
        let world = &self.world;
        let ends = world.watch.story().ends();
        let read: i64 = ends.values().sum();
        let Some(consumer) = world.watch.client(GROUP) else { return false };
        let points: std::collections::BTreeMap<_, _> =
            committed(&consumer, &ends.keys().copied().collect::<Vec<_>>()).into_iter().collect();
        u64::try_from(read).is_ok_and(|read| read >= written)
            && ends.iter().all(|(partition, end)| *end == 0 || points.get(partition) == Some(end))
    }

    fn judge(&self) {
        let mut story = self.world.watch.story();
        let mut faults = self.world.injected();
        story.judge_commits(true);
        oracles::lost(&mut story, &mut faults);
        oracles::wrong_letters(&mut story, &mut faults);
        oracles::duplicates(&mut story, &mut faults);
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = sizes.last().map_or(0, |size| size.at);
        for told in oracles::not_flat(&oracles::means(&sizes, SIZE_SPAN)) {
            story.violate(whole, What::NotFlat, format!("the first worker's {told}"));
        }
    }

    fn write_report(&self, end: &str) -> anyhow::Result<()> {
        let world = &self.world;
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = world.injected().clone();
        let story = world.watch.story();
        oracles::sum_up(&story, &mut faults);
        let span = SIZE_SPAN.min(sizes.last().map_or(0, |size| size.at) / 6);
        let facts = Facts {
            end,
            options: &self.options,
            revision: &self.revision,
            now: world.clock.now(),
            kinds: &self.kinds.iter().map(|kind| kind.name).collect::<Vec<_>>(),
            faults: &faults,
            story: &story,
            sizes: oracles::means(&sizes, span),
            sizes_span: span,
            starts: world.fleet.starts(),
            names_taken: world.fleet.names_taken(),
            no_small_disk: world.kafka.no_small_disk.as_deref(),
        };
        Ok(fs::write(world.folder.join("report.md"), report::write(&facts))?)
    }
}

struct Looks {
    longer: Instant,
    report: Instant,
}

impl Looks {
    fn new() -> Self {
        Self { longer: Instant::now(), report: Instant::now() }
    }
}

pub(crate) fn say(what: &str) {
    println!("campaign: {what}");
}

/// An empty folder. One that holds anything else than a campaign is refused.
fn prepare(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let mark = folder.join("campaign");
    if folder.exists() && fs::read_dir(folder)?.next().is_some() {
        if !mark.exists() {
            bail!("{} is no folder of a campaign: name another with --folder", folder.display());
        }
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::write(mark, "")?;
    Ok(fs::canonicalize(folder)?)
}

fn fetch_kafka() -> anyhow::Result<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kafka");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/images/kafka-native.sh");
    say("fetching Kafka where it is not there yet");
    let status = std::process::Command::new(script).arg("fetch").arg(&folder).status()?;
    ensure!(status.success(), "Kafka cannot be fetched: name a folder that has it with --kafka");
    Ok(folder)
}
