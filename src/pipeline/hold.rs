//! A hold: nothing is sent but one probe at a time, and nothing is dead-lettered, until a probe is answered.

use std::time::Duration;

use super::time::Time;

/// Longest wait between two probes.
pub const MAX_PROBE_INTERVAL: Duration = Duration::from_mins(15);

/// A hold in force, on the worker or on one task.
#[derive(Debug)]
pub struct Hold<Reason> {
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Time,
    /// What OMS said last.
    pub said: Box<str>,
    /// Whether a probe is out.
    pub probing: bool,
    interval: Duration,
    next_probe: Time,
}

impl<Reason> Hold<Reason> {
    /// Begins a hold; its first probe goes out after about `interval`.
    #[must_use]
    pub fn new(reason: Reason, said: Box<str>, interval: Duration, now: Time, random: &mut fastrand::Rng) -> Self {
        let mut hold = Self { reason, since: now, said, probing: false, interval, next_probe: now };
        hold.schedule(now, random);
        hold
    }

    /// When the next probe may go out; `None` while one is out.
    #[must_use]
    pub fn next_probe(&self) -> Option<Time> {
        (!self.probing).then_some(self.next_probe)
    }

    /// A probe was answered by another hold: waits twice as long for the next one.
    pub fn held_again(&mut self, reason: Reason, said: Box<str>, now: Time, random: &mut fastrand::Rng) {
        self.reason = reason;
        self.said = said;
        self.interval = self.interval.saturating_mul(2).min(MAX_PROBE_INTERVAL);
        self.schedule(now, random);
    }

    /// A probe told nothing: waits as long again.
    pub fn undecided(&mut self, now: Time, random: &mut fastrand::Rng) {
        self.schedule(now, random);
    }

    /// The next probe goes out at once, as the first of a new hold's; one that is out already is no longer waited for.
    pub fn probe_at_once(&mut self, interval: Duration, now: Time) {
        self.probing = false;
        self.interval = interval;
        self.next_probe = now;
    }

    /// Between 0.75 and 1 times the interval, so that replicas do not probe together.
    fn schedule(&mut self, now: Time, random: &mut fastrand::Rng) {
        self.probing = false;
        self.next_probe = now.after(self.interval.mul_f64(0.75 + random.f64() / 4.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn probes_come_at_doubling_intervals_up_to_the_cap() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut now = at(0);
        let mut hold = Hold::new((), "".into(), Duration::from_mins(1), now, &mut random);
        for bound in [60, 120, 240, 480, 900, 900_u64] {
            let next = hold.next_probe().unwrap();
            let wait = next.since(now).as_secs_f64();
            let bound = f64::from(u32::try_from(bound).unwrap());
            assert!(wait <= bound && wait >= bound * 0.75, "{wait} of {bound}");
            now = next;
            hold.held_again((), "".into(), now, &mut random);
        }
    }
}
