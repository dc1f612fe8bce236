//! Gathers the changes of one record, and applies what holds for every family: bounds, key decoding, policies.

use std::borrow::Cow;

use super::change::{Change, Changes, Outcome};
use super::explain::Step;
use super::{DecodeOptions, Format, KeyText, MAX_CHANGES_LIMIT, Policy, Reason, key_text};

/// Longest name of a bucket, a task or an event, in bytes. No cloud has longer ones; it bounds what many keys share.
pub(super) const MAX_NAME: usize = 1_024;

/// What a family has read of one change, before anything is decoded or checked.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) bucket: Option<Cow<'a, str>>,
    /// As it is written in the record.
    pub(super) key: Option<Cow<'a, str>>,
    /// The task that stands beside the key.
    pub(super) task: Option<Cow<'a, str>>,
    pub(super) event_name: Option<Cow<'a, str>>,
    /// How the family writes its keys; `Auto` has nothing left to decode, whatever the user says.
    pub(super) written: KeyText,
    /// Bytes of the object, where the family says it.
    pub(super) size: Option<u64>,
}

/// The changes of one record.
pub(super) struct Collector<'o, 'a> {
    options: &'o DecodeOptions,
    header_task: Option<Cow<'a, str>>,
    format: Option<Format>,
    /// Most changes.
    room: usize,
    changes: Changes<'a>,
    overflown: bool,
    /// What is said once a record, however often it happens.
    rejected: Vec<Reason>,
    /// Each step taken, for people; `None` where nobody asks.
    steps: Option<Vec<Step>>,
}

impl<'o, 'a> Collector<'o, 'a> {
    pub(super) fn new(options: &'o DecodeOptions, header_task: Option<Cow<'a, str>>) -> Self {
        let room = options.max_changes.min(MAX_CHANGES_LIMIT);
        let (changes, rejected) = (Changes::new(), Vec::new());
        Self { options, header_task, format: None, room, changes, overflown: false, rejected, steps: None }
    }

    /// One that also writes down each step.
    pub(super) fn explaining(self) -> Self {
        Self { steps: Some(Vec::new()), ..self }
    }

    pub(super) const fn options(&self) -> &'o DecodeOptions {
        self.options
    }

    pub(super) const fn has_header_task(&self) -> bool {
        self.header_task.is_some()
    }

    /// Whether documents of the format may be read as such.
    pub(super) fn wants(&self, format: Format) -> bool {
        self.options.format.is_none_or(|wanted| wanted == format)
    }

    /// What follows is of this format.
    pub(super) const fn set_format(&mut self, format: Format) {
        self.format = Some(format);
    }

    /// What follows is of no format yet, whatever stood before it.
    pub(super) const fn forget_format(&mut self) {
        self.format = None;
    }

    pub(super) fn step(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }

    /// There were more changes than are kept.
    pub(super) const fn overflow(&mut self) {
        self.overflown = true;
    }

    /// A document, or a part of one, that cannot be read: one reject a record and reason.
    pub(super) fn reject(&mut self, reason: Reason) {
        if !self.rejected.contains(&reason) {
            self.rejected.push(reason);
            self.add(Change::without_object(None, Outcome::Reject(reason)), None);
        }
    }

    /// What an envelope says for itself.
    pub(super) fn skip(&mut self, reason: Reason) {
        self.add(Change::without_object(None, Outcome::Skip(reason)), None);
    }

    /// Adds a change. An outcome of sync becomes a reject if the key is missing or wrong, and a skip by policy.
    pub(super) fn push(&mut self, found: Found<'a>, outcome: Outcome) {
        if self.is_full() {
            return self.overflow();
        }
        let explained = self.steps.is_some().then(|| found.key.as_deref().map(str::to_owned)).flatten();
        let written = match (self.options.key_text, found.written) {
            (KeyText::Auto, written) | (_, written @ KeyText::Auto) => written,
            (said, _) => said,
        };
        let (key, fault) = match found.key.map(|key| decode_key(key, written)) {
            None => (None, Some(Reason::MissingKey)),
            Some(None) => (None, Some(Reason::InvalidKeyEncoding)),
            Some(Some(key)) if key.is_empty() => (Some(key), Some(Reason::EmptyKey)),
            Some(Some(key)) => (Some(key), None),
        };
        let outcome = match (outcome, fault) {
            (Outcome::Sync, Some(reason)) => Outcome::Reject(reason),
            (Outcome::Sync, None) => self.policy(key.as_deref(), found.size).map_or(Outcome::Sync, Outcome::Skip),
            (outcome, _) => outcome,
        };
        let task = self.header_task.clone().or(found.task);
        let outcome = match (outcome, found.bucket.as_deref(), &task) {
            (Outcome::Sync, Some(""), None) => Outcome::Reject(Reason::MissingBucket),
            (outcome, ..) => outcome,
        };
        let (format, bucket, event_name) = (self.format, found.bucket, found.event_name);
        let change = Change { format, bucket, key, task, event_name, outcome };
        self.add(change, explained.map(|key| (key, written)));
    }

    fn add(&mut self, change: Change<'a>, key: Option<(String, KeyText)>) {
        if self.is_full() {
            return self.overflow();
        }
        self.step(|| Step::Change { key });
        self.changes.push(change);
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= self.room
    }

    fn policy(&self, key: Option<&str>, size: Option<u64>) -> Option<Reason> {
        if self.options.folder_markers == Policy::Skip && key.is_some_and(|key| key.ends_with('/')) {
            return Some(Reason::FolderMarker);
        }
        (self.options.zero_byte == Policy::Skip && size == Some(0)).then_some(Reason::ZeroByte)
    }

    /// A collector for text that does not live as long as the record. Give it back to [`Self::absorb`].
    pub(super) fn nested<'b>(&mut self) -> Collector<'o, 'b>
    where
        'a: 'b,
    {
        Collector {
            options: self.options,
            header_task: self.header_task.clone(),
            format: self.format,
            room: self.room - self.changes.len(),
            changes: Changes::new(),
            overflown: self.overflown,
            rejected: std::mem::take(&mut self.rejected),
            steps: self.steps.take(),
        }
    }

    /// Takes over what a nested collector has, as its own.
    pub(super) fn absorb(&mut self, inner: Collector<'o, '_>) {
        self.changes.extend(inner.changes.into_iter().map(|change| -> Change<'a> { change.into_owned() }));
        (self.overflown, self.rejected, self.steps) = (inner.overflown, inner.rejected, inner.steps);
        self.format = inner.format;
    }

    /// Runs something that may fail half-way, and takes back what it has added if it does.
    pub(super) fn all_or_nothing<E>(&mut self, run: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        let marks = (self.changes.len(), self.rejected.len(), self.steps.as_ref().map_or(0, Vec::len), self.overflown);
        let done = run(self);
        if done.is_err() {
            self.changes.truncate(marks.0);
            self.rejected.truncate(marks.1);
            self.steps.as_mut().into_iter().for_each(|steps| steps.truncate(marks.2));
            self.overflown = marks.3;
            self.format = None;
        }
        done
    }

    /// The changes, at least one, and the steps.
    pub(super) fn finish(mut self) -> (Changes<'a>, Vec<Step>) {
        if self.overflown {
            self.changes.clear();
            self.changes.push(Change::without_object(self.format, Outcome::Reject(Reason::TooManyChanges)));
        } else if self.changes.is_empty() {
            self.changes.push(Change::without_object(self.format, Outcome::Skip(Reason::NoChanges)));
        }
        (self.changes, self.steps.unwrap_or_default())
    }
}

fn decode_key(key: Cow<'_, str>, written: KeyText) -> Option<Cow<'_, str>> {
    if written == KeyText::Form { key_text::decode_form(key) } else { Some(key) }
}
