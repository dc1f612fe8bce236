//! NooBaa: S3-shaped, with eventSource `noobaa:s3`.
//!
//! Source: github.com/noobaa/noobaa-core, `src/util/notifications_util.js`: keys are raw, and `size` is the length of the
//! answer, not of the object. The source is named after the system: where that has another name than `noobaa`, the
//! user names the format.

use super::super::records::Dialect;
use super::super::{Format, KeyText};

pub(in super::super) const DIALECT: Dialect = Dialect {
    format: Format::Noobaa,
    told_by: "Records with eventSource noobaa:s3",
    source: "noobaa:s3",
    written: KeyText::Raw,
    unwanted: |name, _| super::aws_s3::unwanted(name),
    size: |_| None,
};
