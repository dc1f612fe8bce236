//! Record bytes and headers to object changes, one file a producer family.
//!
//! Pure and total: every record gives at least one [`Change`], whatever its bytes. Each text is parsed once, into
//! [`document`]; families and envelopes are told apart by the members that are there, never by what a key looks like
//! and never by trying one after the other. Nothing in here normalises, trims or guesses at a key, nothing asks an
//! address that a record names, and nothing logs what a record holds.
//!
//! A new family is one file in [`families`], one line in its list, one [`Format`], and in [`document`] the members that
//! tell it apart.

mod change;
mod cloud_event;
mod collect;
mod document;
mod envelope;
mod explain;
mod families;
mod item;
mod key_text;
mod read;
mod reason;
mod records;
mod shape;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

pub use change::{Action, Change, Changes, Outcome};
use collect::{Collector, MAX_NAME};
pub use explain::Step;
use families::gcs;
pub use reason::{Kind, Reason};

use crate::pipeline::view::RecordView;

/// The header that names a record's task, whatever its format.
pub const TASK_HEADER: &str = "oms-sync-task";

/// The most that [`DecodeOptions::max_changes`] can be: what bounds memory while a value is parsed.
pub const MAX_CHANGES_LIMIT: usize = 100_000;

/// Envelopes in one another that are opened; one more is a reject.
pub const MAX_DEPTH: usize = 5;

/// A producer family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Format {
    /// The worker's own record format.
    Native,
    /// S3 event notifications of AWS.
    AwsS3,
    /// Object events of AWS on EventBridge, and calls that CloudTrail reports there.
    AwsEventbridge,
    /// MinIO.
    Minio,
    /// Ceph's RADOS gateway.
    Ceph,
    /// NooBaa, which is the Multicloud Object Gateway of OpenShift.
    Noobaa,
    /// ZOS of China Telecom's cloud.
    Ctyun,
    /// OBS of Huawei Cloud.
    HuaweiObs,
    /// OSS of Aliyun.
    AliyunOss,
    /// COS of Tencent Cloud.
    TencentCos,
    /// Blob storage and Data Lake Storage of Azure.
    AzureBlob,
    /// Google Cloud Storage.
    Gcs,
    /// Kodo of Qiniu.
    QiniuKodo,
    /// BOS of Baidu.
    BaiduBos,
    /// TOS of Volcengine.
    VolcengineTos,
}

/// How keys are written in the records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyText {
    /// As the format has it.
    #[default]
    Auto,
    /// Form-encoded: `%XX`, and `+` for a blank.
    Form,
    /// Verbatim.
    Raw,
}

/// What becomes of changes of a certain sort.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Like any change.
    Sync,
    /// Counted and left.
    Skip,
}

/// How to read the records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeOptions {
    /// The one format that is read, in whatever envelope; `None` recognises it.
    pub format: Option<Format>,
    /// How keys are written.
    pub key_text: KeyText,
    /// Objects whose key ends in `/`.
    pub folder_markers: Policy,
    /// Objects of no bytes, where the record says so.
    pub zero_byte: Policy,
    /// Files that Azure's Data Lake Storage or SFTP have created empty, to be written and closed later.
    pub adls_placeholders: Policy,
    /// New names of objects.
    pub renames: Policy,
    /// Object resources of Google Cloud Storage that came without their event.
    pub untyped: Policy,
    /// Most changes a record, at most [`MAX_CHANGES_LIMIT`]; a record with more is rejected as a whole.
    pub max_changes: usize,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            format: None,
            key_text: KeyText::Auto,
            folder_markers: Policy::Sync,
            zero_byte: Policy::Sync,
            adls_placeholders: Policy::Skip,
            renames: Policy::Sync,
            untyped: Policy::Skip,
            max_changes: 10_000,
        }
    }
}

impl Format {
    /// All formats, for listings.
    pub const ALL: [Self; 15] = [
        Self::Native,
        Self::AwsS3,
        Self::AwsEventbridge,
        Self::Minio,
        Self::Ceph,
        Self::Noobaa,
        Self::Ctyun,
        Self::HuaweiObs,
        Self::AliyunOss,
        Self::TencentCos,
        Self::AzureBlob,
        Self::Gcs,
        Self::QiniuKodo,
        Self::BaiduBos,
        Self::VolcengineTos,
    ];

    /// The name in configuration, metrics and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::AwsS3 => "aws-s3",
            Self::AwsEventbridge => "aws-eventbridge",
            Self::Minio => "minio",
            Self::Ceph => "ceph",
            Self::Noobaa => "noobaa",
            Self::Ctyun => "ctyun",
            Self::HuaweiObs => "huawei-obs",
            Self::AliyunOss => "aliyun-oss",
            Self::TencentCos => "tencent-cos",
            Self::AzureBlob => "azure-blob",
            Self::Gcs => "gcs",
            Self::QiniuKodo => "qiniu-kodo",
            Self::BaiduBos => "baidu-bos",
            Self::VolcengineTos => "volcengine-tos",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// The object changes that a record tells of. Never empty.
#[must_use]
pub fn decode<'a>(record: impl Into<RecordView<'a>>, options: &DecodeOptions) -> Changes<'a> {
    let record = record.into();
    decode_into(record, Collector::new(options, header_task(record))).0
}

/// As [`decode`], with what was done. Copies keys, so it is for people and not for streams.
#[must_use]
pub fn explain<'a>(record: impl Into<RecordView<'a>>, options: &DecodeOptions) -> (Changes<'a>, Vec<Step>) {
    let record = record.into();
    decode_into(record, Collector::new(options, header_task(record)).explaining())
}

fn decode_into<'a>(record: RecordView<'a>, mut collector: Collector<'_, 'a>) -> (Changes<'a>, Vec<Step>) {
    let Some(value) = record.value else {
        return alone(Outcome::Skip(Reason::NullValue));
    };
    if let Some(attributes) = gcs::Attributes::of_headers(record).filter(|_| collector.wants(Format::Gcs)) {
        gcs::decode_attributes(attributes, &mut collector); // they say it all, and the value may be empty
        return collector.finish();
    }
    let context = cloud_event::of_headers(record).or_else(|| gcs::context_of_headers(record));
    if value.is_empty() && !context.as_ref().is_some_and(|context| families::say_it_all(context, &collector)) {
        return alone(Outcome::Skip(Reason::EmptyValue));
    }
    match read::value(value, context, &mut collector) {
        Ok(()) => collector.finish(),
        Err(reason) => alone(Outcome::Reject(reason)),
    }
}

fn alone<'a>(outcome: Outcome) -> (Changes<'a>, Vec<Step>) {
    (smallvec![Change::without_object(None, outcome)], vec![Step::Change { key: None }])
}

/// A header that is UTF-8 text.
fn header_text<'a>(record: RecordView<'a>, name: &str) -> Option<&'a str> {
    std::str::from_utf8(record.header(name)??).ok()
}

/// The task that the header names. One that is null, no UTF-8 or too long names a task that cannot exist, not none.
/// Borrowed, since every change has it.
fn header_task(record: RecordView<'_>) -> Option<Cow<'_, str>> {
    let value = record.header(TASK_HEADER)?.unwrap_or_default();
    let name = std::str::from_utf8(&value[..value.len().min(MAX_NAME + 1)]);
    Some(Cow::Borrowed(name.unwrap_or("\u{fffd}")))
}
