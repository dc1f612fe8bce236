//! Errors that come about ten a second while a broker is away, told once a second. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// At most one error of a code is told in this time.
pub(super) const ERROR_INTERVAL: Duration = Duration::from_secs(1);

/// Counts what it holds back.
#[derive(Debug, Default)]
pub(super) struct ErrorGate {
    codes: HashMap<String, (Instant, u64)>,
}

impl ErrorGate {
    /// How many errors of that code are told now, this one included; `None` where it is held back.
    pub(super) fn pass(&mut self, code: &str, now: Instant) -> Option<u64> {
        let Some((told, held)) = self.codes.get_mut(code) else {
            self.codes.insert(code.to_owned(), (now, 0));
            return Some(1);
        };
        *held += 1;
        if now.saturating_duration_since(*told) < ERROR_INTERVAL {
            return None;
        }
        *told = now;
        Some(std::mem::take(held))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a starting point; the rest is arithmetic")]
mod tests {
    use super::*;

    #[test]
    fn errors_of_one_code_are_told_once_a_second_with_their_number() {
        let (mut gate, start) = (ErrorGate::default(), Instant::now());
        assert_eq!(gate.pass("Transport", start), Some(1));
        for ms in [100, 200, 300] {
            assert_eq!(gate.pass("Transport", start + Duration::from_millis(ms)), None);
        }
        assert_eq!(gate.pass("Transport", start + Duration::from_millis(1100)), Some(4));
        assert_eq!(gate.pass("Transport", start + Duration::from_millis(1200)), None);
    }

    #[test]
    fn another_code_is_told_at_once() {
        let (mut gate, start) = (ErrorGate::default(), Instant::now());
        assert_eq!(gate.pass("Transport", start), Some(1));
        assert_eq!(gate.pass("Resolve", start), Some(1));
    }
}
