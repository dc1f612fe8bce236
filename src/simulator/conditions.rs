//! Which fault, quota and latency a request meets. Pure but for its own seeded random numbers: time is an argument.

use std::time::{Duration, Instant};

use super::faults::{Faults, Rule};

/// What a request is about, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    /// The task that it names.
    pub(super) task: Option<&'a str>,
    /// An event, or a query.
    pub(super) event: bool,
}

/// The faults in force.
pub(super) struct Conditions {
    latency: Duration,
    jitter: Duration,
    bucket: Option<Bucket>,
    burst: Option<f64>,
    retry_after: Option<Duration>,
    rules: Vec<Active>,
    random: fastrand::Rng,
}

struct Active {
    rule: Rule,
    left: Option<u64>,
    until: Option<Instant>,
}

struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Conditions {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            bucket: None,
            burst: None,
            retry_after: None,
            rules: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Puts in force what `faults` names.
    pub(super) fn change(&mut self, faults: Faults, now: Instant) {
        self.latency = faults.latency.unwrap_or(self.latency);
        self.jitter = faults.jitter.unwrap_or(self.jitter);
        self.burst = faults.burst.or(self.burst);
        self.retry_after = faults.retry_after.or(self.retry_after);
        if faults.requests_per_second.is_some() || faults.burst.is_some() {
            let kept = self.bucket.as_ref().map(|bucket| bucket.per_second);
            let per_second = faults.requests_per_second.or(kept).filter(|rate| *rate > 0.0);
            self.bucket = per_second.map(|rate| Bucket::new(rate, self.burst.unwrap_or(rate), now));
        }
        if let Some(rules) = faults.rules {
            let active = |rule: Rule| Active {
                left: rule.count,
                until: rule.lasting.and_then(|lasting| now.checked_add(lasting)),
                rule,
            };
            self.rules = rules.into_iter().map(active).collect();
        }
    }

    /// Takes one request off the quota; `Err` with what `Retry-After` says when it is spent.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Option<u64>> {
        let admitted = self.bucket.as_mut().is_none_or(|bucket| bucket.take(now));
        let seconds = self.retry_after.map(|after| after.as_secs()).filter(|seconds| *seconds > 0);
        if admitted { Ok(()) } else { Err(seconds) }
    }

    /// The first rule that does not look at keys and applies.
    pub(super) fn fault(&mut self, about: About<'_>, now: Instant) -> Option<Rule> {
        self.first(about, now, |rule| rule.keys.is_none())
    }

    /// The first rule that looks at keys and applies to one of these.
    pub(super) fn fault_of_keys(&mut self, about: About<'_>, keys: &[&str], now: Instant) -> Option<Rule> {
        if self.rules.iter().all(|active| active.rule.keys.is_none()) {
            return None;
        }
        let raw: Vec<_> = keys.iter().map(|key| super::event::decoded(key)).collect();
        self.first(about, now, |rule| {
            rule.keys.as_deref().is_some_and(|pattern| raw.iter().any(|key| matches(pattern, key)))
        })
    }

    /// How long the next answer waits.
    pub(super) fn delay(&mut self) -> Duration {
        if self.jitter.is_zero() { self.latency } else { self.latency + self.jitter.mul_f64(self.random.f64()) }
    }

    fn first(&mut self, about: About<'_>, now: Instant, applies: impl Fn(&Rule) -> bool) -> Option<Rule> {
        let random = &mut self.random;
        let found = self.rules.iter_mut().find(|active| {
            active.left != Some(0)
                && active.until.is_none_or(|until| now < until)
                && (about.event || active.rule.all_requests)
                && active.rule.task.as_deref().is_none_or(|task| about.task == Some(task))
                && applies(&active.rule)
                && active.rule.ratio.is_none_or(|ratio| random.f64() < ratio)
        })?;
        found.left = found.left.map(|left| left - 1);
        Some(found.rule.clone())
    }
}

impl Bucket {
    fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        let burst = burst.max(1.0);
        Self { per_second, burst, tokens: burst, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        self.at = now;
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }
}

/// `*` stands for any text; everything else for itself.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut parts = rest.split('*');
    let Some(tail) = parts.next_back() else { return true };
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: About<'_> = About { task: Some("t"), event: true };

    #[expect(clippy::disallowed_methods, reason = "any start will do, the tests move on from it themselves")]
    fn conditions(json: &str) -> (Conditions, Instant) {
        let (mut conditions, now) = (Conditions::new(1), Instant::now());
        conditions.change(Faults::from_json(json.as_bytes()).unwrap(), now);
        (conditions, now)
    }

    #[test]
    fn a_pattern_takes_a_star_for_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*.bad", "x/y.bad", true),
            ("*.bad", "x.bad.not", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_quota_gives_a_burst_and_then_its_rate() {
        let (mut conditions, now) = conditions(r#"{"requests_per_second":10,"burst":2,"retry_after":"3s"}"#);
        let at = |ms| now + Duration::from_millis(ms);
        let got: Vec<_> = [0, 0, 0, 100, 100, 10_000, 10_000, 10_000].map(|ms| conditions.admit(at(ms))).to_vec();
        let refused = Err(Some(3));
        assert_eq!(got, [Ok(()), Ok(()), refused, Ok(()), refused, Ok(()), Ok(()), refused]);
        conditions.change(Faults::from_json(br#"{"requests_per_second":0}"#).unwrap(), now);
        assert_eq!(conditions.admit(at(10_000)), Ok(()));
    }

    #[test]
    fn a_rule_ends_after_its_count_and_after_its_time() {
        let (mut counted, now) = conditions(r#"{"rules":[{"status":503,"count":2}]}"#);
        assert_eq!([(); 3].map(|()| counted.fault(EVENT, now).is_some()), [true, true, false]);
        let (mut timed, now) = conditions(r#"{"rules":[{"status":503,"for":"1s"}]}"#);
        assert!(timed.fault(EVENT, now + Duration::from_millis(999)).is_some());
        assert!(timed.fault(EVENT, now + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn a_rule_is_for_its_task_its_share_and_its_kind_of_request() {
        let (mut conditions, now) = conditions(r#"{"rules":[{"status":503,"task":"t","ratio":0.25}]}"#);
        let other = About { task: Some("u"), ..EVENT };
        assert!((0..100).all(|_| conditions.fault(other, now).is_none()));
        assert!((0..100).all(|_| conditions.fault(About { event: false, ..EVENT }, now).is_none()));
        let hits = (0..1000).filter(|_| conditions.fault(EVENT, now).is_some()).count();
        assert!((200..300).contains(&hits), "{hits}");
    }

    #[test]
    fn a_rule_about_keys_sees_them_decoded() {
        let (mut conditions, now) = conditions(r#"{"rules":[{"status":400,"keys":"* bad"}]}"#);
        assert!(conditions.fault(EVENT, now).is_none());
        assert!(conditions.fault_of_keys(EVENT, &["good"], now).is_none());
        assert!(conditions.fault_of_keys(EVENT, &["good", "a%20bad"], now).is_some());
        assert!(conditions.fault_of_keys(EVENT, &["a+bad"], now).is_some());
    }
}
