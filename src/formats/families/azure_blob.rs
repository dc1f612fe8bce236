//! Blob storage and Data Lake Storage of Azure, in the schema of Event Grid or as CloudEvents: the type begins with
//! `Microsoft.Storage.`
//!
//! Source: learn.microsoft.com/azure/event-grid/event-schema-blob-storage. The bucket is the container; keys are raw in
//! `subject`, behind `/blobs/`. A subject may have lost characters beyond the basic plane to U+FFFD (seen in
//! azure-event-grid-viewer, issue 9): then the key is that of `data.url`, which is percent-encoded.
//!
//! Files that are created empty by Data Lake Storage or SFTP are written and closed later, with an event of its own; but
//! a flush without a close tells nothing (azure-docs, issue 101653), so that this is a policy. A renamed directory has
//! no events of its blobs.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::collect::{Collector, Found};
use super::super::document::Document;
use super::super::shape::{Size, Text};
use super::super::{Format, KeyText, Outcome, Policy, Reason, key_text};
use super::{Family, Source, needs_bucket, sync_unless};

/// What stands for characters that a subject has lost.
const LOST: char = '\u{fffd}';

pub(super) const FAMILY: Family = Family {
    format: Format::AzureBlob,
    told_by: "an event type that begins with Microsoft.Storage.",
    claims: |source, _| {
        let event_type = source.document.event_type.as_str().unwrap_or_else(|| source.context.event_type());
        event_type.starts_with("Microsoft.Storage.") || event_type.starts_with("Microsoft.EventGrid.")
    },
    decode,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    api: Text<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    /// Of a rename, which may have no `url`.
    #[serde(borrow, rename = "destinationUrl")]
    destination_url: Text<'a>,
    #[serde(rename = "contentLength")]
    length: Size,
}

fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let (mut document, context) = (source.document, source.context);
    // As a CloudEvent the document is the data.
    let (event_name, subject, data) = if let Some(event_type) = document.event_type.0.take() {
        (event_type, document.subject.0, document.data.parse().unwrap_or_default())
    } else {
        (context.event_type.clone().unwrap_or_default(), context.subject.clone(), Data::of(document))
    };
    if event_name.starts_with("Microsoft.EventGrid.") {
        let found = Found { event_name: Some(event_name), ..Found::default() };
        return collector.push(found, Outcome::Skip(Reason::Subscription));
    }
    let place = subject.as_deref().and_then(split_subject);
    let (bucket, key) = match place {
        Some((bucket, key)) => (Some(bucket.to_owned()), key_of(bucket, key, &data)),
        None => (None, None),
    };
    let is_decoded = place.is_some_and(|(_, key)| key.contains(LOST));
    let written = if is_decoded { KeyText::Auto } else { KeyText::Raw };
    let outcome = outcome(&event_name, &data, collector);
    let outcome = match outcome {
        Outcome::Sync if place.is_some() && key.is_none() => Outcome::Reject(Reason::InvalidKeyEncoding),
        outcome => needs_bucket(outcome, bucket.is_some()),
    };
    let (bucket, key, size) = (bucket.map(Cow::Owned), key.map(Cow::Owned), data.length.0);
    let event_name = Some(event_name);
    collector.push(Found { bucket, key, task: None, event_name, written, size }, outcome);
}

impl<'a> Data<'a> {
    fn of(document: Document<'a>) -> Self {
        let Document { api, url, destination_url, content_length: length, .. } = document;
        Self { api, url, destination_url, length }
    }
}

fn outcome(event_type: &str, data: &Data<'_>, collector: &Collector<'_, '_>) -> Outcome {
    let options = collector.options();
    let unwanted = match event_type.strip_prefix("Microsoft.Storage.").unwrap_or_default() {
        "BlobCreated" => {
            let is_placeholder =
                matches!(data.api.as_str(), Some("CreateFile" | "SftpCreate")) && data.length.0 == Some(0);
            (is_placeholder && options.adls_placeholders == Policy::Skip).then_some(Reason::NotComplete)
        }
        "BlobRenamed" => (options.renames == Policy::Skip).then_some(Reason::Renamed),
        "BlobDeleted" | "DirectoryDeleted" => Some(Reason::Deleted),
        "DirectoryRenamed" => Some(Reason::DirectoryRenamed),
        "BlobTierChanged" | "AsyncOperationInitiated" => Some(Reason::MetadataOnly),
        "DirectoryCreated" | "BlobInventoryPolicyCompleted" | "LifecyclePolicyCompleted" => Some(Reason::NotAnObject),
        _ => Some(Reason::UnknownEvent),
    };
    sync_unless(unwanted)
}

/// Container and blob of a subject such as `/blobServices/default/containers/landing/blobs/in/a.csv`.
fn split_subject(subject: &str) -> Option<(&str, &str)> {
    let (_, place) = subject.split_once("containers/")?;
    let (container, rest) = place.split_once('/')?;
    Some((container, rest.strip_prefix("blobs/")?))
}

/// The key as the subject has it, or where that has lost characters as the address has it.
fn key_of(container: &str, key: &str, data: &Data<'_>) -> Option<String> {
    if !key.contains(LOST) {
        return Some(key.to_owned());
    }
    let url = data.url.as_str().or_else(|| data.destination_url.as_str())?;
    let path = url.split_once("://").map_or(url, |(_, rest)| rest).split(['?', '#']).next()?;
    let in_container = path.split_once(&format!("/{container}/"));
    // The root container may be left out.
    let in_root = || path.split_once('/').filter(|_| container == "$root");
    let (_, written) = in_container.or_else(in_root)?;
    key_text::decode_percent(Cow::Borrowed(written)).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_split_at_the_first_container_and_blob() {
        let check = |subject, expected| assert_eq!(split_subject(subject), expected, "{subject}");
        check("/blobServices/default/containers/c/blobs/blobs/x", Some(("c", "blobs/x")));
        check("blobServices/default/containers/c/blobs/a/containers/b/blobs/y", Some(("c", "a/containers/b/blobs/y")));
        check("/blobServices/default/containers/c", None);
        check("", None);
    }

    #[test]
    fn a_key_that_has_lost_characters_is_that_of_the_address() {
        let data = |url: &'static str| Data { url: Text(Some(url.into())), ..Data::default() };
        let find = |url| key_of("c", "in/\u{fffd}.jpg", &data(url));
        assert_eq!(find("https://a.blob.core.windows.net/c/in/%F0%9F%98%80+.jpg?x=1").as_deref(), Some("in/😀+.jpg"));
        assert_eq!(find("https://a.blob.core.windows.net/c/in/%F0%9F.jpg"), None);
        assert_eq!(find("https://a.blob.core.windows.net/other/in/x.jpg"), None);
        assert_eq!(key_of("c", "in/\u{fffd}.jpg", &Data::default()), None);
    }
}
