//! An S3 notification as the least possible program parses it: typed, borrowed, and only the three members that it needs.

use std::borrow::Cow;

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Notification<'a> {
    #[serde(borrow, rename = "Records")]
    pub(crate) records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Record<'a> {
    #[serde(borrow, rename = "eventName")]
    pub(crate) event_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) s3: S3<'a>,
}

#[derive(Deserialize)]
pub(crate) struct S3<'a> {
    #[serde(borrow)]
    pub(crate) bucket: Bucket<'a>,
    #[serde(borrow)]
    pub(crate) object: Object<'a>,
}

#[derive(Deserialize)]
pub(crate) struct Bucket<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(crate) struct Object<'a> {
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
}
