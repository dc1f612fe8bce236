//! Which dead letter is which: what tells that one was replayed already. Pure.
//!
//! Two letters are the same when record, count of replays, stage, task and failed keys are. So a letter that a crash has
//! doubled goes once, two letters of one record go each, and one that was replayed and failed again is another. At stage
//! decode the whole record is replayed, whatever the reason, so the reason is no part of it.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::letter::Said;

/// The first 128 bits of a SHA-256: 16 bytes in memory for a letter of any size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Identity(u128);

impl Identity {
    pub(super) fn of(said: &Said) -> Self {
        let Said { topic, partition, offset, timestamp, group, replays, stage, task, .. } = said;
        let mut keys: Vec<&str> = said.keys.iter().map(String::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        let place = serde_json::json!([topic, partition, offset, timestamp, group, replays, stage, task, keys]);
        let digest = Sha256::digest(place.to_string());
        Self(digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }

    /// As it is written, and nothing else.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 32)?;
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    fn identity(changed: &[(&str, &str)]) -> Identity {
        Identity::of(&letter("{}", changed).said.unwrap())
    }

    #[test]
    fn a_doubled_letter_is_the_same_and_any_other_is_not() {
        let same =
            [("oms-sync.failed-keys", r#"["c","a b"]"#), ("oms-sync.attempts", "9"), ("oms-sync.reason", "too_large")];
        assert_eq!(identity(&same), identity(&[]));
        for other in [
            ("oms-sync.topic", "u"),
            ("oms-sync.partition", "4"),
            ("oms-sync.offset", "43"),
            ("oms-sync.timestamp", "2026-09-30T08:15:27.319Z"),
            ("oms-sync.task-id", "task-2"),
            ("oms-sync.failed-keys", r#"["c"]"#),
            ("oms-sync.replays", "1"),
        ] {
            assert_ne!(identity(&[other]), identity(&[]), "{other:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let identity = identity(&[]);
        assert_eq!(Identity::parse(identity.to_string().as_bytes()), Some(identity));
        assert_eq!(Identity::parse(b"1"), None);
        assert_eq!(Identity::parse(&[0xff; 32]), None);
    }
}
