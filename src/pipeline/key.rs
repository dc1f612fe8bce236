//! Object keys as OMS wants them: URL-encoded. Never normalised, trimmed or guessed at.

use std::sync::Arc;

/// Longest encoded key that OMS takes, in characters (all ASCII). Source: the CreateSyncEvents API page.
pub const MAX_ENCODED_KEY_CHARS: usize = 16_384;

/// An object key in its encoded form: only `A-Za-z0-9-_.~%+`, 1 to [`MAX_ENCODED_KEY_CHARS`] characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EncodedKey(Box<str>);

/// The id of an OMS synchronization task: `[A-Za-z0-9-]{1,1024}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId(Arc<str>);
