//! Whether this machine's clock and another's disagree, from the `Date` of an answer. Pure: the time is an argument.

use std::time::{Duration, SystemTime};

use super::sign::skew;

/// Difference of the clocks from which on it is told. OMS's gateway refuses a signature at 15 minutes (signing guide,
/// overview); a request and its answer take at most a minute or so.
pub const NOTICEABLE_SKEW: Duration = Duration::from_mins(5);

/// What two clocks showed at the same moment, but for the way of an answer and the second that `Date` is rounded to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// This machine's.
    pub ours: SystemTime,
    /// That of who answered.
    pub theirs: SystemTime,
}

/// What the other clock shows, as its `Date` header tells.
#[must_use]
pub fn other_clock(date: Option<&str>) -> Option<SystemTime> {
    httpdate::parse_http_date(date?.trim()).ok()
}

/// A sentence about the difference, where there is one worth telling.
#[must_use]
pub fn told(date: Option<&str>, now: SystemTime) -> Option<String> {
    let other = other_clock(date)?;
    let apart = skew(other, now);
    if apart < NOTICEABLE_SKEW {
        return None;
    }
    let side = if other > now { "behind" } else { "ahead of" };
    let apart = humantime::format_duration(Duration::from_secs(apart.as_secs()));
    Some(format!("this machine's clock is {apart} {side} the other side's: set it right (NTP), signatures fail at 15m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_in_either_direction_from_five_minutes_on() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 02:00:00 GMT").unwrap();
        for (date, expected) in [
            ("Tue, 24 Nov 2026 02:20:03 GMT", Some("20m 3s behind the other")),
            ("Tue, 24 Nov 2026 01:40:00 GMT", Some("20m ahead of the other")),
            ("Tue, 24 Nov 2026 02:04:59 GMT", None),
            ("yesterday", None),
        ] {
            let told = told(Some(date), now);
            assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()), "{date}");
        }
        assert_eq!(told(None, now), None);
    }
}
