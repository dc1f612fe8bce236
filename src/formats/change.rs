//! What a record says about one object, and what follows from it.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Format;
use super::reason::{Kind, Reason};

/// The changes of one record; nearly always one.
pub type Changes<'a> = SmallVec<[Change<'a>; 1]>;

/// One change of one object, or the reason why there is none. Borrows from the record where it can.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change<'a> {
    /// The producer family; `None` where the value was of none.
    pub format: Option<Format>,
    /// The source bucket.
    pub bucket: Option<Cow<'a, str>>,
    /// The raw object key; there and not empty with [`Outcome::Sync`].
    pub key: Option<Cow<'a, str>>,
    /// The task that the header or else the record names, unchecked.
    pub task: Option<Cow<'a, str>>,
    /// The event's name as the producer wrote it.
    pub event_name: Option<Cow<'a, str>>,
    /// What to do.
    pub outcome: Outcome,
}

/// What to do about a change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Submit the key.
    Sync,
    /// Nothing: it needs no sync.
    Skip(Reason),
    /// It can never be submitted.
    Reject(Reason),
}

/// An outcome without its reason: the metric label `action`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// See [`Outcome::Sync`].
    Sync,
    /// See [`Outcome::Skip`].
    Skip,
    /// See [`Outcome::Reject`].
    Reject,
}

impl Outcome {
    /// The outcome without its reason.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Sync => Action::Sync,
            Self::Skip(_) => Action::Skip,
            Self::Reject(_) => Action::Reject,
        }
    }

    /// The reason, which a sync has none of.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Sync => None,
            Self::Skip(reason) | Self::Reject(reason) => Some(reason),
        }
    }

    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Sync => Kind::ContentChange,
            Self::Skip(reason) | Self::Reject(reason) => reason.kind(),
        }
    }
}

impl Action {
    /// The word for it in metrics and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Skip => "skip",
            Self::Reject => "reject",
        }
    }
}

impl Change<'_> {
    /// The same, on its own.
    pub(super) fn into_owned(self) -> Change<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        let (format, outcome) = (self.format, self.outcome);
        let (bucket, key, task, event_name) = (own(self.bucket), own(self.key), own(self.task), own(self.event_name));
        Change { format, bucket, key, task, event_name, outcome }
    }

    pub(super) const fn without_object(format: Option<Format>, outcome: Outcome) -> Self {
        Change { format, bucket: None, key: None, task: None, event_name: None, outcome }
    }
}
