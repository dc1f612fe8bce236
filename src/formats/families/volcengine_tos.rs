//! TOS of Volcengine: `{"events":[{"eventName":"tos:ObjectCreated:Put","tos":{...}}]}`.
//!
//! How keys are written is not documented: taken as raw.

use super::super::collect::Collector;
use super::super::{Format, Outcome, Reason};
use super::{Family, Source, aliyun_oss, sync_unless};

pub(super) const FAMILY: Family = Family {
    format: Format::VolcengineTos,
    told_by: "the member tos",
    claims: |source, _| source.document.tos.is_object(),
    decode,
};

fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let event_name = source.document.event_name.0;
    let outcome =
        event_name.as_deref().map_or(Outcome::Reject(Reason::MissingEventName), |name| sync_unless(unwanted(name)));
    aliyun_oss::push(source.document.tos.parse().unwrap_or_default(), event_name, outcome, collector);
}

fn unwanted(event_name: &str) -> Option<Reason> {
    let name = event_name.strip_prefix("tos:").unwrap_or(event_name);
    let (group, what) = name.split_once(':').unwrap_or((name, ""));
    match (group, what) {
        ("ObjectCreated", "Put" | "Post" | "Copy" | "CompleteUpload" | "Origin" | "Fetch") => None,
        ("ObjectRemoved" | "LifecycleExpiration", _) => Some(Reason::Deleted),
        ("ObjectDownload" | "ObjectDownloaded", _) => Some(Reason::Read),
        ("ObjectRestore" | "ObjectTagging" | "ObjectAcl" | "LifecycleTransition" | "Replication", _) => {
            Some(Reason::MetadataOnly)
        }
        _ => Some(Reason::UnknownEvent),
    }
}
