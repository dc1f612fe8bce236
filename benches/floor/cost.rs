//! What a part costs, as the kernel tells it: user and system time of all threads, and peak memory.

use std::time::{Duration, Instant};

use super::Part;

/// How long a part without an end of its own is repeated.
const REPEAT: Duration = Duration::from_secs(2);

/// Begins to count.
pub(super) struct Meter {
    began: Instant,
    ticks: (u64, u64),
}

/// What was counted.
pub(super) struct Cost {
    keys: usize,
    requests: usize,
    took: Duration,
    /// User and system time, in hundredths of a second.
    ticks: (u64, u64),
}

impl Meter {
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), ticks: ticks() }
    }

    pub(super) fn stop(self, keys: usize, requests: usize) -> Cost {
        let (user, system) = ticks();
        Cost { keys, requests, took: self.began.elapsed(), ticks: (user - self.ticks.0, system - self.ticks.1) }
    }
}

impl Cost {
    /// Repeats what gives the number of its keys and requests until it can be told from the clock's resolution.
    pub(super) fn of_repeating(mut once: impl FnMut() -> (usize, usize)) -> Self {
        let meter = Meter::start();
        let (mut keys, mut requests) = (0, 0);
        while meter.began.elapsed() < REPEAT {
            let done = once();
            keys += done.0;
            requests += done.1;
        }
        meter.stop(keys, requests)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    pub(super) fn print(&self, part: Part) {
        let name = clap::ValueEnum::to_possible_value(&part).map(|value| value.get_name().to_owned());
        let us_per_key = |ticks: u64| ticks as f64 * 10_000.0 / self.keys.max(1) as f64;
        let line = serde_json::json!({
            "part": name,
            "keys": self.keys,
            "requests": self.requests,
            "seconds": self.took.as_secs_f64(),
            "cpu_us_per_key": us_per_key(self.ticks.0 + self.ticks.1),
            "user_us_per_key": us_per_key(self.ticks.0),
            "system_us_per_key": us_per_key(self.ticks.1),
            "peak_rss_mib": peak_kib() / 1024,
        });
        println!("{line}");
    }
}

/// Of the whole process, threads that have ended included. A tick is a hundredth of a second on every Linux.
fn ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace().skip(11);
    let mut next = || fields.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    (next(), next())
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
