//! What a record says about one object, and what follows from it.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Format;

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
    /// The task that the record or its header names, unchecked. What stands beside the key goes before the header.
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

/// What kind of thing a change is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// The object's bytes are new or other.
    ContentChange,
    /// The object, or a version of it, is gone. OMS does not propagate deletes.
    Delete,
    /// Tags, rights, storage class, replication state.
    Metadata,
    /// A folder marker, or an object that is not complete yet.
    Placeholder,
    /// Nothing about an object's content: test notifications, tombstones, documents of others.
    Control,
    /// Broken.
    Malformed,
}

/// Why something is skipped or rejected: metric label and dead-letter header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// A null value (a tombstone).
    NullValue,
    /// A value of no bytes.
    EmptyValue,
    /// A list of changes without any.
    NoChanges,
    /// A notification that only tests the connection.
    TestEvent,
    /// An object or a version of it was removed.
    Deleted,
    /// Only metadata changed.
    MetadataOnly,
    /// An event name that is not on the list of those that mean new content.
    UnknownEvent,
    /// An S3-shaped notification of a system that is not known.
    UnknownEventSource,
    /// A folder marker, where they are to be skipped.
    FolderMarker,
    /// The value is no UTF-8.
    InvalidUtf8,
    /// The value is no JSON, or a member stands in it twice.
    InvalidJson,
    /// JSON, but of no known format.
    Unrecognised,
    /// A member of the native format that is not of its type.
    WrongType,
    /// No bucket name, and no task either.
    MissingBucket,
    /// No key, or one that is no text.
    MissingKey,
    /// No event name.
    MissingEventName,
    /// A key of no characters.
    EmptyKey,
    /// A wrong `%` escape, or no UTF-8 once decoded.
    InvalidKeyEncoding,
    /// Longer than OMS takes once encoded.
    KeyTooLong,
    /// More changes in one record than `records.max_changes`.
    TooManyChanges,
    /// No task is routed for the bucket and key.
    NoRoute,
    /// A task is named that is not routed.
    UnknownTask,
    /// A task is named by what can be no task id.
    InvalidTask,
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

impl Kind {
    /// The word for it in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ContentChange => "content-change",
            Self::Delete => "delete",
            Self::Metadata => "metadata",
            Self::Placeholder => "placeholder",
            Self::Control => "control",
            Self::Malformed => "malformed",
        }
    }
}

impl Reason {
    /// The reasons that a record, or a part of it, is rejected for.
    pub const REJECTS: [Self; 14] = [
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::Unrecognised,
        Self::WrongType,
        Self::MissingBucket,
        Self::MissingKey,
        Self::MissingEventName,
        Self::EmptyKey,
        Self::InvalidKeyEncoding,
        Self::KeyTooLong,
        Self::TooManyChanges,
        Self::NoRoute,
        Self::UnknownTask,
        Self::InvalidTask,
    ];

    /// The word for it: metric label, dead-letter header, output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NullValue => "null_value",
            Self::EmptyValue => "empty_value",
            Self::NoChanges => "no_changes",
            Self::TestEvent => "test_event",
            Self::Deleted => "deleted",
            Self::MetadataOnly => "metadata_only",
            Self::UnknownEvent => "unknown_event",
            Self::UnknownEventSource => "unknown_event_source",
            Self::FolderMarker => "folder_marker",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::Unrecognised => "unrecognised",
            Self::WrongType => "wrong_type",
            Self::MissingBucket => "missing_bucket",
            Self::MissingKey => "missing_key",
            Self::MissingEventName => "missing_event_name",
            Self::EmptyKey => "empty_key",
            Self::InvalidKeyEncoding => "invalid_key_encoding",
            Self::KeyTooLong => "key_too_long",
            Self::TooManyChanges => "too_many_changes",
            Self::NoRoute => "no_route",
            Self::UnknownTask => "unknown_task",
            Self::InvalidTask => "invalid_task",
        }
    }

    /// What kind of thing has this reason.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::NullValue
            | Self::EmptyValue
            | Self::NoChanges
            | Self::TestEvent
            | Self::UnknownEvent
            | Self::UnknownEventSource
            | Self::Unrecognised => Kind::Control,
            Self::Deleted => Kind::Delete,
            Self::MetadataOnly => Kind::Metadata,
            Self::FolderMarker => Kind::Placeholder,
            Self::NoRoute | Self::UnknownTask => Kind::ContentChange,
            Self::InvalidUtf8
            | Self::InvalidJson
            | Self::WrongType
            | Self::MissingBucket
            | Self::MissingKey
            | Self::MissingEventName
            | Self::EmptyKey
            | Self::InvalidKeyEncoding
            | Self::KeyTooLong
            | Self::TooManyChanges
            | Self::InvalidTask => Kind::Malformed,
        }
    }
}

impl Change<'_> {
    pub(super) const fn without_object(format: Option<Format>, outcome: Outcome) -> Self {
        Change { format, bucket: None, key: None, task: None, event_name: None, outcome }
    }
}
