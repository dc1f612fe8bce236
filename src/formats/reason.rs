//! Why a change is skipped or rejected: the word for machines, the sentence for people, and what kind of thing it is.

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
    /// A handshake of a subscription. Never answered: nothing in here asks an address that a record names.
    Subscription,
    /// An object or a version of it was removed.
    Deleted,
    /// Only metadata changed.
    MetadataOnly,
    /// An object was only read.
    Read,
    /// An upload has begun or goes on: the object is not there yet, and another event tells when it is.
    NotComplete,
    /// A bucket, an inventory, an audit trail: not one object.
    NotAnObject,
    /// The audit entry of a call that failed.
    FailedCall,
    /// An object resource without the event that it belongs to, where those are to be skipped.
    Untyped,
    /// The new name of an object, where those are to be skipped.
    Renamed,
    /// A whole directory has another name, and no event tells of the objects in it: they have to be synchronized by hand.
    DirectoryRenamed,
    /// An object of no bytes, where those are to be skipped.
    ZeroByte,
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
    /// An envelope whose content is no text, or broken base64.
    InvalidEnvelope,
    /// An envelope in an envelope and so on, more often than is unwrapped.
    NestedTooDeep,
    /// A name of a bucket, a task or an event that is longer than any can be.
    NameTooLong,
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
    pub const REJECTS: [Self; 17] = [
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::Unrecognised,
        Self::InvalidEnvelope,
        Self::NestedTooDeep,
        Self::NameTooLong,
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
            Self::Subscription => "subscription",
            Self::Deleted => "deleted",
            Self::MetadataOnly => "metadata_only",
            Self::Read => "read",
            Self::NotComplete => "not_complete",
            Self::NotAnObject => "not_an_object",
            Self::FailedCall => "failed_call",
            Self::Untyped => "untyped",
            Self::Renamed => "renamed",
            Self::DirectoryRenamed => "directory_renamed",
            Self::ZeroByte => "zero_byte",
            Self::UnknownEvent => "unknown_event",
            Self::UnknownEventSource => "unknown_event_source",
            Self::FolderMarker => "folder_marker",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::Unrecognised => "unrecognised",
            Self::InvalidEnvelope => "invalid_envelope",
            Self::NestedTooDeep => "nested_too_deep",
            Self::NameTooLong => "name_too_long",
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

    /// The reason in a sentence, and for a reject what to do about it.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::NullValue => "the value is null: a tombstone tells of no object",
            Self::EmptyValue => "the value has no bytes",
            Self::NoChanges => "the list of changes is empty",
            Self::TestEvent => "a notification that tests the connection",
            Self::Subscription => "a handshake of a subscription; confirm it where it was made, the worker never does",
            Self::Deleted => "the object or a version of it was removed: OMS does not propagate deletes",
            Self::MetadataOnly => "only metadata changed, not the object's content",
            Self::Read => "the object was only read",
            Self::NotComplete => "the upload is not complete: another event tells when the object is there",
            Self::NotAnObject => "the event is not about one object's content",
            Self::FailedCall => "the call failed: nothing changed",
            Self::Untyped => "an object resource without its event; records.untyped: sync takes it for a change",
            Self::Renamed => "a new name, and records.renames is skip",
            Self::DirectoryRenamed => {
                "a directory was renamed, and no event tells of its objects: synchronize them by hand"
            }
            Self::ZeroByte => "an object of no bytes, and records.zero_byte is skip",
            Self::UnknownEvent => "the event's name is not among those that mean new content",
            Self::UnknownEventSource => {
                "S3-shaped, but of a system whose way to write keys is not known; set records.format if you know it"
            }
            Self::FolderMarker => "a folder marker, and records.folder_markers is skip",
            Self::InvalidUtf8 => "the value is no UTF-8: correct the producer or the converter",
            Self::InvalidJson => "the value is no JSON, or has a member twice: correct the producer or the converter",
            Self::Unrecognised => {
                "JSON of no known format: see the table of formats, or set records.unrecognised: skip"
            }
            Self::InvalidEnvelope => "an envelope whose content is no text or broken base64: correct what wraps it",
            Self::NestedTooDeep => "wrapped more often than is unwrapped: take out some of the services between",
            Self::NameTooLong => {
                "a name of a bucket, a task or an event of more than 1,024 bytes: correct the producer"
            }
            Self::WrongType => "a member of the native format is not of its type: correct the producer",
            Self::MissingBucket => {
                "no bucket name, and no task either: correct the producer, or name the task in a header"
            }
            Self::MissingKey => "no key, or one that is no text: correct the producer",
            Self::MissingEventName => "no event name: correct the producer",
            Self::EmptyKey => "the key has no characters: correct the producer",
            Self::InvalidKeyEncoding => "a wrong % escape, or no UTF-8 once decoded: see records.key_encoding",
            Self::KeyTooLong => "longer once encoded than the 16,384 characters that OMS takes",
            Self::TooManyChanges => {
                "more changes than records.max_changes: raise it, or let the producer write smaller records"
            }
            Self::NoRoute => "no route is for this bucket and key: add one, or set records.no_route: skip",
            Self::UnknownTask => "the task is in no route: add a route for it, or leave routes empty",
            Self::InvalidTask => "no task id: letters, digits and hyphens, at most 1,024",
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
            | Self::Subscription
            | Self::NotAnObject
            | Self::FailedCall
            | Self::Untyped
            | Self::DirectoryRenamed
            | Self::UnknownEvent
            | Self::UnknownEventSource
            | Self::Unrecognised => Kind::Control,
            Self::Deleted => Kind::Delete,
            Self::MetadataOnly | Self::Read => Kind::Metadata,
            Self::FolderMarker | Self::NotComplete => Kind::Placeholder,
            Self::Renamed | Self::ZeroByte | Self::NoRoute | Self::UnknownTask => Kind::ContentChange,
            Self::InvalidEnvelope
            | Self::NestedTooDeep
            | Self::NameTooLong
            | Self::InvalidUtf8
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
