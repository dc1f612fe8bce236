//! What holds for every value: an answer without a panic, and a bounded one.

use oms_sync_worker::formats::{DecodeOptions, Format};
use proptest::prelude::*;
use serde_json::Value;

use super::{record, words};

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "Records",
        "records",
        "s3",
        "bucket",
        "object",
        "name",
        "key",
        "keys",
        "eventName",
        "eventSource",
        "sync_task_id",
        "encoded",
        "event",
        "Event",
        "Bucket",
        "other",
    ]);
    let text = prop::sample::select(vec!["aws:s3", "ObjectCreated:Put", "a%2", "a+b", "", "deleted", "s3:TestEvent"]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
        text.prop_map(Value::from),
        ".{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn assert_bounded(value: &[u8]) {
    for format in [None, Some(Format::Native), Some(Format::AwsS3)] {
        let options = DecodeOptions { format, max_changes: 5, ..DecodeOptions::default() };
        let found = words(&record(Some(value)), &options);
        assert!((1..=6).contains(&found.len()), "{found:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_a_bounded_answer(value in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_bounded(&value);
    }

    #[test]
    fn arbitrary_json_parses_and_gives_a_bounded_answer(value in any_json()) {
        let text = value.to_string();
        assert_bounded(text.as_bytes());
        let found = words(&record(Some(text.as_bytes())), &DecodeOptions::default());
        prop_assert!(!found.contains(&"reject invalid_utf8".to_owned()));
    }
}
