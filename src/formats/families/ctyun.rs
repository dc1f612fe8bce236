//! ZOS of China Telecom's cloud: S3-shaped, with eventSource `ctyun:s3`.
//!
//! Source: ctyun.cn, documents 10306929 and 10135525, which do not say how keys are written: taken as raw.

use super::super::records::Dialect;
use super::super::{Format, KeyText};

pub(in super::super) const DIALECT: Dialect = Dialect {
    format: Format::Ctyun,
    told_by: "Records with eventSource ctyun:s3",
    source: "ctyun:s3",
    written: KeyText::Raw,
    unwanted: |name, _| super::aws_s3::unwanted(name),
    size: super::aws_s3::size,
};
