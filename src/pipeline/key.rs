//! Object keys as OMS wants them: URL-encoded. Never normalised, trimmed or guessed at.

use std::sync::Arc;

/// Longest encoded key that OMS takes, in characters (all ASCII). Source: the `CreateSyncEvents` API page.
pub const MAX_ENCODED_KEY_CHARS: usize = 16_384;

/// An object key in its encoded form: only `A-Za-z0-9-_.~%+`, 1 to [`MAX_ENCODED_KEY_CHARS`] characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EncodedKey(Box<str>);

/// The id of an OMS synchronization task: `[A-Za-z0-9-]{1,1024}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// Takes `[A-Za-z0-9-]{1,1024}` and nothing else.
    pub fn new(text: &str) -> Result<Self, InvalidTaskId> {
        let valid = (1..=1024).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if valid {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidTaskId)
        }
    }

    /// The id as OMS gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not a task id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a task id: 1 to 1024 of the characters A-Z a-z 0-9 and -")]
pub struct InvalidTaskId;
