//! Gathers the changes of one record, and applies what holds for every family: bounds, key decoding, folder markers.

use std::borrow::Cow;

use super::change::{Change, Changes, Outcome, Reason};
use super::{DecodeOptions, FolderMarkers, Format, KeyText, MAX_CHANGES_LIMIT, key_text};

/// What a family has read of one change, before anything is decoded or checked.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) bucket: Option<Cow<'a, str>>,
    /// As it is written in the record.
    pub(super) key: Option<Cow<'a, str>>,
    /// The task that stands beside the key.
    pub(super) task: Option<Cow<'a, str>>,
    pub(super) event_name: Option<Cow<'a, str>>,
    /// How the family writes its keys; `Auto` is raw.
    pub(super) written: KeyText,
}

/// The changes of one record.
pub(super) struct Collector<'o, 'a> {
    options: &'o DecodeOptions,
    header_task: Option<Cow<'a, str>>,
    format: Option<Format>,
    changes: Changes<'a>,
    overflown: bool,
    unrecognised: bool,
}

impl<'o, 'a> Collector<'o, 'a> {
    pub(super) fn new(options: &'o DecodeOptions, header_task: Option<Cow<'a, str>>) -> Self {
        Self { options, header_task, format: None, changes: Changes::new(), overflown: false, unrecognised: false }
    }

    pub(super) const fn has_header_task(&self) -> bool {
        self.header_task.is_some()
    }

    /// What follows is of this format.
    pub(super) const fn set_format(&mut self, format: Format) {
        self.format = Some(format);
    }

    /// A document, or a part of one, that is of no known format: one reject a record, however often it happens.
    pub(super) const fn unrecognised(&mut self) {
        self.unrecognised = true;
    }

    /// A list has more items than are read.
    pub(super) const fn overflow(&mut self) {
        self.overflown = true;
    }

    /// One change, with what its family makes of it; a sync is refused here if its key cannot be used.
    pub(super) fn push(&mut self, found: Found<'a>, outcome: Outcome) {
        if self.changes.len() >= self.options.max_changes.min(MAX_CHANGES_LIMIT) {
            self.overflown = true;
            return;
        }
        let (key, fault) = match found.key.map(|key| self.decode_key(key, found.written)) {
            None => (None, Some(Reason::MissingKey)),
            Some(None) => (None, Some(Reason::InvalidKeyEncoding)),
            Some(Some(key)) if key.is_empty() => (Some(key), Some(Reason::EmptyKey)),
            Some(Some(key)) => (Some(key), None),
        };
        let outcome = match (outcome, fault) {
            (Outcome::Sync, Some(reason)) => Outcome::Reject(reason),
            (Outcome::Sync, None) if self.is_unwanted_marker(key.as_deref()) => Outcome::Skip(Reason::FolderMarker),
            (outcome, _) => outcome,
        };
        self.changes.push(Change {
            format: self.format,
            bucket: found.bucket,
            key,
            task: found.task.or_else(|| self.header_task.clone()),
            event_name: found.event_name,
            outcome,
        });
    }

    fn decode_key(&self, key: Cow<'a, str>, written: KeyText) -> Option<Cow<'a, str>> {
        let written = if self.options.key_text == KeyText::Auto { written } else { self.options.key_text };
        if written == KeyText::Form { key_text::decode_form(key) } else { Some(key) }
    }

    fn is_unwanted_marker(&self, key: Option<&str>) -> bool {
        self.options.folder_markers == FolderMarkers::Skip && key.is_some_and(|key| key.ends_with('/'))
    }

    /// The changes, at least one.
    pub(super) fn finish(mut self) -> Changes<'a> {
        if self.overflown {
            self.changes.clear();
            self.changes.push(Change::without_object(self.format, Outcome::Reject(Reason::TooManyChanges)));
        } else if self.unrecognised {
            self.changes.push(Change::without_object(None, Outcome::Reject(Reason::Unrecognised)));
        } else if self.changes.is_empty() {
            self.changes.push(Change::without_object(self.format, Outcome::Skip(Reason::NoChanges)));
        }
        self.changes
    }
}
