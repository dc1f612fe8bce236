//! What holds for the decoding of every record, whatever its bytes.

use crate::formats::{self, Changes, DecodeOptions, MAX_CHANGES_LIMIT, Step};
use crate::pipeline::packed::Packed;
use crate::pipeline::record::Record;

/// Names that many changes can share: bucket, task and event of a native record, a byte more where a header names the task.
const SHARED: usize = 3 * 1_024 + 1;

/// Output is shorter than this many times the input: each own text of a change stands in the input once, what changes
/// share is limited, and a change takes two bytes of a list (`0,`) at least.
const MULTIPLE: usize = 1 + SHARED.div_ceil(2);

/// Records of more changes are not explained as well: two such answers at once are not what the memory limit is for.
const MOST_EXPLAINED: usize = 10_000;

/// Panics where something does not hold.
pub fn check(record: &Record, options: &DecodeOptions) {
    let packed = Packed::from(record); // as the worker has it
    let changes = formats::decode(record, options);
    assert_eq!(formats::decode(&packed, options), changes, "packed, it is decoded otherwise");
    let room = options.max_changes.clamp(1, MAX_CHANGES_LIMIT);
    assert!((1..=room).contains(&changes.len()), "{} changes, {room} allowed", changes.len());
    let texts = texts(&changes);
    let own = record.bytes();
    assert!(texts <= own + changes.len() * SHARED, "{texts} bytes of text in {} changes from {own}", changes.len());
    assert!(texts <= own.max(1) * MULTIPLE, "{texts} bytes of text from {own}");
    for change in &changes {
        let has_key = change.key.as_deref().is_some_and(|key| !key.is_empty());
        assert!(has_key || change.outcome.action().as_str() != "sync", "a sync without a key");
    }
    if changes.len() > MOST_EXPLAINED {
        return;
    }
    let (explained, steps) = formats::explain(record, options);
    assert_eq!(explained, changes, "explained otherwise");
    let told = steps.iter().filter(|step| matches!(step, Step::Change { .. })).count();
    let is_told_as_a_whole = changes.len() == 1;
    assert!(told == changes.len() || is_told_as_a_whole, "{told} steps for {} changes", changes.len());
}

fn texts(changes: &Changes<'_>) -> usize {
    let of = |change: &formats::Change<'_>| {
        let texts = [&change.bucket, &change.key, &change.task, &change.event_name];
        texts.into_iter().flatten().map(|text| text.len()).sum::<usize>()
    };
    changes.iter().map(of).sum()
}
