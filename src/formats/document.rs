//! A value as JSON: one document or an array of them, with the members that any family reads.
//!
//! Parsed once for all families. Members that nobody reads are passed over without being kept.

use std::fmt;

use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};

use super::shape::{Flag, List, Object, Text};

/// One top-level object.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Document<'a> {
    /// S3-shaped notifications; in lower case where a Java library has written them anew.
    #[serde(borrow, rename = "Records", alias = "records")]
    pub(super) records: List<Object<Entry<'a>>>,
    /// `s3:TestEvent` of AWS, which has no `Records`.
    #[serde(borrow, rename = "Event")]
    pub(super) test_event: Text<'a>,
    /// The bucket of a test event.
    #[serde(borrow, rename = "Bucket")]
    pub(super) test_bucket: Text<'a>,
    /// Native: the source bucket.
    #[serde(borrow)]
    pub(super) bucket: Text<'a>,
    /// Native: the task.
    #[serde(borrow)]
    pub(super) sync_task_id: Option<Text<'a>>,
    /// Native: one key.
    #[serde(borrow)]
    pub(super) key: Text<'a>,
    /// Native: several keys.
    #[serde(borrow)]
    pub(super) keys: List<Text<'a>>,
    /// Native: the keys are URL-encoded.
    pub(super) encoded: Option<Flag>,
    /// Native: what happened.
    #[serde(borrow)]
    pub(super) event: Text<'a>,
}

/// One item of `Records`.
#[derive(Deserialize, Debug, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) event_source: Text<'a>,
    #[serde(borrow)]
    pub(super) event_name: Text<'a>,
    #[serde(borrow)]
    pub(super) s3: Object<S3<'a>>,
}

/// The member `s3` of an item.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct S3<'a> {
    #[serde(borrow)]
    pub(super) bucket: Object<S3Bucket<'a>>,
    #[serde(borrow)]
    pub(super) object: Object<S3Object<'a>>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct S3Bucket<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct S3Object<'a> {
    #[serde(borrow)]
    pub(super) key: Text<'a>,
}

/// Calls the function for each item of an array, with `None` for what is no object.
pub(super) struct EachDocument<F>(pub(super) F);

impl<'de, F: FnMut(Option<Document<'de>>)> Visitor<'de> for EachDocument<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Object(document)) = seq.next_element()? {
            (self.0)(document);
        }
        Ok(())
    }
}
