//! What is written of a record whose dead letter is too large for its topic: where it stands instead of its value.
//! Says what is left out; decides nothing.

use std::sync::Arc;

use crate::pipeline::form::{Form, MAX_KEPT_KEY_BYTES};
use crate::pipeline::letters::DeadLetter;
use crate::pipeline::record::Record;

/// What is left out, in words; `None` where nothing is.
pub(super) fn what(letter: &DeadLetter) -> Option<&'static str> {
    match letter.form {
        Form::Whole => None,
        Form::NoValue => Some("value"),
        _ if keeps_key(&letter.record) => Some("value, headers"),
        _ => Some("value, headers, key"),
    }
}

/// The record as it goes into the letter. The value of one that is left out tells where to read it.
pub(super) fn kept(letter: &DeadLetter) -> Arc<Record> {
    let record = &letter.record;
    let Some(what) = what(letter) else { return Arc::clone(record) };
    let reference = serde_json::json!({
        "omitted": what, "topic": *record.topic, "partition": record.partition, "offset": record.offset,
        "timestamp_ms": record.timestamp_ms, "value_bytes": record.value.as_ref().map(|value| value.len()),
    });
    let is_large = letter.form != Form::NoValue;
    Arc::new(Record {
        topic: Arc::clone(&record.topic),
        key: record.key.clone().filter(|_| !is_large || keeps_key(record)),
        value: Some(reference.to_string().into_bytes().into()),
        headers: if is_large { Box::default() } else { record.headers.clone() },
        ..**record
    })
}

fn keeps_key(record: &Record) -> bool {
    record.key.as_ref().is_none_or(|key| key.len() <= MAX_KEPT_KEY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::failure::Failure;
    use crate::pipeline::form::smaller;
    use crate::pipeline::intake::{Reject, RejectStage};
    use crate::pipeline::record::Header;
    use crate::pipeline::time::Time;

    #[test]
    fn each_form_says_what_it_leaves_out_and_where_to_read_it() {
        let record = Record {
            key: Some(vec![b'k'; MAX_KEPT_KEY_BYTES + 1].into()),
            value: Some(vec![b'v'; 4_000].into()),
            headers: [Header { name: "own".into(), value: None }].into(),
            timestamp_ms: Some(7),
            ..Record::at("t", 3, 42)
        };
        let reject = Reject { stage: RejectStage::Decode, reason: "invalid_json", key: None };
        let mut letter = DeadLetter::whole(Arc::new(record), Failure::rejected(reject, Time::START));
        assert_eq!((what(&letter), kept(&letter)), (None, Arc::clone(&letter.record)));
        for (expected, has_key, headers) in [("value", true, 1), ("value, headers, key", false, 0)] {
            letter = smaller(&letter).pop().unwrap();
            let kept = kept(&letter);
            assert_eq!((what(&letter), kept.key.is_some(), kept.headers.len()), (Some(expected), has_key, headers));
            let reference: serde_json::Value = serde_json::from_slice(kept.value.as_deref().unwrap()).unwrap();
            let place = serde_json::json!({
                "omitted": expected, "topic": "t", "partition": 3, "offset": 42, "timestamp_ms": 7, "value_bytes": 4_000,
            });
            assert_eq!(reference, place);
        }
    }
}
