//! What happens to OMS in the course of the demo, and how that is told. Pure: the stage follows from how much of the
//! course is over.

use std::time::Duration;

use crate::simulator::{Failure, Faults, Rule};

use super::plan::REFUSED_PREFIX;

/// Every answer takes so long, and up to as much more.
const LATENCY: Duration = Duration::from_millis(20);
/// What throttling leaves of the requests that are needed.
const THROTTLED_SHARE: f64 = 0.5;

/// What OMS is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It answers.
    Well,
    /// It answers 503, resets connections or says nothing.
    Down,
    /// It answers again.
    Back,
    /// It takes fewer requests than are needed.
    Throttling,
    /// It takes all of them again.
    Relaxed,
}

impl Stage {
    /// The stage when that share of the course is over, 0 to 1 and more.
    pub(super) fn at(over: f64) -> Self {
        match over {
            ..0.40 => Self::Well,
            0.40..0.60 => Self::Down,
            0.60..0.75 => Self::Back,
            0.75..0.90 => Self::Throttling,
            _ => Self::Relaxed,
        }
    }

    /// In plain words.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Well => "OMS is well, but refuses a few keys: see them split off and dead-lettered alone",
            Self::Down => "OMS is down (503, resets, no answer): watch the worker back off; nothing may get lost",
            Self::Back => "OMS is back: watch the worker catch up",
            Self::Throttling => "OMS throttles (429, Retry-After): watch the worker send full events, more slowly",
            Self::Relaxed => "OMS throttles no more: the worker may go faster again, step by step",
        }
    }

    /// What that means for the simulator when `needed` requests a second would keep up.
    pub(super) fn faults(self, needed: f64) -> Faults {
        let refused = Rule {
            keys: Some(format!("{REFUSED_PREFIX}*")),
            status: Some(400),
            message: Some("the demo refuses this key".to_owned()),
            ..Rule::default()
        };
        let down = |ratio, status, failure| Rule { all_requests: true, ratio, status, failure, ..Rule::default() };
        let rules = match self {
            Self::Down => vec![
                down(Some(0.5), Some(503), None),
                down(Some(0.5), None, Some(Failure::ResetBefore)),
                down(None, None, Some(Failure::Hang)),
            ],
            _ => vec![refused],
        };
        let quota = if self == Self::Throttling { (needed * THROTTLED_SHARE).max(1.0) } else { 0.0 };
        Faults {
            latency: Some(LATENCY),
            jitter: Some(LATENCY),
            requests_per_second: Some(quota),
            burst: (quota > 0.0).then_some(1.0),
            retry_after: Some(Duration::from_secs(1)),
            rules: Some(rules),
            ..Faults::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_course_goes_through_every_stage_and_ends_well() {
        let mut stages: Vec<_> = (0..200_u32).map(|over| Stage::at(f64::from(over) / 100.0)).collect();
        stages.dedup();
        assert_eq!(stages, [Stage::Well, Stage::Down, Stage::Back, Stage::Throttling, Stage::Relaxed]);
        let last = Stage::Relaxed.faults(100.0);
        assert_eq!(last.requests_per_second, Some(0.0));
        assert!(last.rules.is_some_and(|rules| rules.len() == 1 && rules[0].keys.is_some()));
    }

    #[test]
    fn every_rule_is_one_that_the_simulator_takes() {
        for stage in [Stage::Well, Stage::Down, Stage::Throttling] {
            assert!(stage.faults(0.1).rules.iter().flatten().all(|rule| rule.check().is_ok()), "{stage:?}");
        }
    }
}
