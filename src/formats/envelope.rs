//! What services and connectors between a store and Kafka wrap around notifications.
//!
//! Told by the members named at each; never opened by trying. Sources: docs.aws.amazon.com/sns, `sns-message-and-json-formats`;
//! docs.aws.amazon.com/lambda, `with-sqs` and `with-sns`; SMN's HTTP notifications of Huawei Cloud; docs.confluent.io for
//! the JSON converter and the SQS source; cloud.google.com/pubsub, `push`. Addresses in them are never asked.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

use super::Reason;
use super::cloud_event::Context;
use super::document::{Document, Entry};
use super::shape::{List, Raw};

/// An envelope that is open.
pub(super) struct Envelope<'a> {
    /// For people.
    pub(super) name: &'static str,
    pub(super) contents: SmallVec<[Content<'a>; 1]>,
    /// What it says about its contents.
    pub(super) context: Context<'a>,
}

/// One thing in an envelope.
#[derive(Clone)]
pub(super) enum Content<'a> {
    /// JSON.
    Text(Cow<'a, str>),
    /// Base64 of JSON.
    Base64(Cow<'a, str>),
    /// It is empty: what surrounds it has to say everything.
    Nothing,
    /// A message of the service itself.
    Control(Reason),
    /// Something else.
    Unreadable(Reason),
}

impl<'a> Content<'a> {
    /// An object or a list as it stands, or the JSON in a text.
    pub(super) fn of(raw: Raw<'a>) -> Self {
        match (raw.json(), raw.text()) {
            (None, _) => Self::Nothing,
            (_, Some(text)) if text.is_empty() => Self::Nothing,
            (_, Some(text)) => Self::Text(text),
            (Some(json), None) if json.starts_with(['{', '[']) => Self::Text(Cow::Borrowed(json)),
            _ => Self::Unreadable(Reason::InvalidEnvelope),
        }
    }
}

impl<'a> Envelope<'a> {
    pub(super) fn of(name: &'static str, content: Content<'a>) -> Self {
        Self { name, contents: smallvec![content], context: Context::default() }
    }
}

/// The envelope that a document is, if it is one.
pub(super) fn of<'a>(document: &mut Document<'a>) -> Option<Envelope<'a>> {
    if document.events.0.is_some() {
        return Some(events(&mut document.events));
    }
    let notification = |kind: &str, message: Raw<'a>| match kind {
        "Notification" => Content::of(message),
        _ => Content::Control(Reason::Subscription),
    };
    match (document.sns_type.as_str(), document.kind_of_event.as_str()) {
        (Some(kind), _) if is_notification(kind) => {
            return Some(Envelope::of("SNS notification", notification(kind, document.sns_message)));
        }
        (_, Some(kind)) if is_notification(kind) => {
            return Some(Envelope::of("SMN notification", notification(kind, document.message)));
        }
        _ => {}
    }
    if document.message.is_object() {
        return Some(Envelope::of("Pub/Sub push", Content::of(document.message)));
    }
    if document.payload.is_null() {
        return Some(Envelope::of("Kafka Connect payload", Content::Control(Reason::NullValue)));
    }
    let is_message = document.attributes.is_object() || document.message_id.json().is_some();
    if is_message && document.data.json().is_some() {
        let content = document.data.text().map_or(Content::Unreadable(Reason::InvalidEnvelope), Content::Base64);
        return Some(Envelope::of("Pub/Sub message", content));
    }
    if document.payload.json().is_some() {
        return Some(Envelope::of("Kafka Connect payload", Content::of(document.payload)));
    }
    let body = if document.body.json().is_some() { document.body } else { document.api_body };
    body.json().is_some().then(|| Envelope::of("SQS message", Content::of(body)))
}

/// The envelope that an item of `Records` or `record` is, if it is one.
pub(super) fn of_entry<'a>(entry: &Entry<'a>) -> Option<Envelope<'a>> {
    let message = |raw: Raw<'a>, name| {
        let Message { upper, lower } = raw.parse().unwrap_or_default();
        let message = if upper.json().is_some() { upper } else { lower };
        Some(Envelope::of(name, Content::of(message)))
    };
    if entry.body.json().is_some() {
        return Some(Envelope::of("SQS batch of Lambda", Content::of(entry.body)));
    }
    if entry.sns.is_object() {
        return message(entry.sns, "SNS batch of Lambda");
    }
    if entry.smn.is_object() { message(entry.smn, "SMN batch of FunctionGraph") } else { None }
}

fn is_notification(kind: &str) -> bool {
    matches!(kind, "Notification" | "SubscriptionConfirmation" | "UnsubscribeConfirmation")
}

fn events<'a>(events: &mut List<Raw<'a>>) -> Envelope<'a> {
    let Some(list) = events.0.take() else { return Envelope::of("events", Content::Nothing) };
    let mut contents: SmallVec<_> = list.items.into_iter().map(Content::of).collect();
    if list.truncated {
        contents.push(Content::Unreadable(Reason::TooManyChanges));
    }
    Envelope { name: "list of events", contents, context: Context::default() }
}

/// The text of a notification in a batch.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow, rename = "Message")]
    upper: Raw<'a>,
    #[serde(borrow, rename = "message")]
    lower: Raw<'a>,
}
