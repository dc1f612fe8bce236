//! OBS of Huawei Cloud: `{"Records":[{"eventSource":"OBS","obs":{...}}]}` by way of SMN or FunctionGraph, one such item
//! as the data in CloudEvents by way of EventGrid, and an older variant with the member `s3` and no `eventSource`.
//!
//! Sources: support.huaweicloud.com/ugobs-obs/obs_41_0045.html; usermanual-eg, `eg-ug-076`. Keys are form-encoded with
//! `%2F`. A subscription of EventGrid may switch that off, which no record shows: `records.key_encoding: raw`.

use super::super::collect::{Collector, Found};
use super::super::records::Dialect;
use super::super::{Format, KeyText, Reason};
use super::{Family, Source, sync_unless};

pub(in super::super) const DIALECT: Dialect = Dialect {
    format: Format::HuaweiObs,
    told_by: "Records with the member obs, or s3 without eventSource",
    source: "OBS",
    written: KeyText::Form,
    unwanted: |name, _| unwanted(name),
    size: super::aws_s3::size,
};

/// Events of EventGrid that have no object in them.
pub(super) const FAMILY: Family = Family {
    format: Format::HuaweiObs,
    told_by: "CloudEvent of type OBS:",
    claims: |source, _| starts_with(source.context.event_type(), "OBS:"),
    decode,
};

#[expect(clippy::needless_pass_by_value, reason = "as for every family")]
fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let event_name = source.context.event_type.clone();
    let unwanted = event_name.as_deref().and_then(unwanted);
    collector.push(Found { event_name, ..Found::default() }, sync_unless(unwanted));
}

fn unwanted(event_name: &str) -> Option<Reason> {
    let mut parts = event_name.rsplit(':');
    let (what, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is = |text: &str, expected: &str| text.eq_ignore_ascii_case(expected);
    let prefix = parts.next().unwrap_or_default();
    if !["", "s3", "DWR"].iter().any(|known| is(prefix, known)) {
        return Some(Reason::NotAnObject); // the audit trail
    }
    if is(group, "ObjectCreated") {
        let is_new = ["Put", "Post", "Copy", "CompleteMultipartUpload"].iter().any(|known| is(what, known));
        return (!is_new).then_some(Reason::UnknownEvent);
    }
    let unwanted = if is(group, "ObjectRemoved") { Reason::Deleted } else { Reason::UnknownEvent };
    Some(unwanted)
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_with_and_without_what_eventgrid_puts_before_them() {
        for name in ["ObjectCreated:Put", "OBS:DWR:ObjectCreated:PUT", "s3:ObjectCreated:CompleteMultipartUpload"] {
            assert_eq!(unwanted(name), None, "{name}");
        }
        assert_eq!(unwanted("OBS:DWR:ObjectRemoved:DELETE"), Some(Reason::Deleted));
        assert_eq!(unwanted("ObjectCreated:*"), Some(Reason::UnknownEvent));
        assert_eq!(unwanted("OBS:CloudTrace:ApiCall"), Some(Reason::NotAnObject));
    }
}
