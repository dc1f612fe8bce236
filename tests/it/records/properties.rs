//! What holds for every value: an answer without a panic, a bounded one, and the same one however the JSON is written.

use std::sync::LazyLock;

use oms_sync_worker::formats::{self, DecodeOptions, Format, KeyText, Step};
use oms_sync_worker::pipeline::record::Record;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture_record;
use super::record;
use super::rewrite::{self, inner_json};
use crate::fixtures;

/// Names that many changes of a record can share: bucket, task and event, of 1,024 bytes each.
const SHARED: usize = 3 * 1_024;

/// Most steps a byte: each envelope, document and change stands in bytes of its own, in five envelopes at most.
const STEPS_A_BYTE: usize = 5;

/// The fixtures that are JSON.
static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let parse = |fixture: fixtures::Fixture| serde_json::from_slice(&fixture.value?).ok();
    let documents: Vec<Value> = fixtures::all().into_iter().filter_map(parse).collect();
    assert!(documents.len() >= 100, "the fixtures are there");
    documents
});

/// Every member name, and every text, in the fixtures and in the JSON in their texts: of all families and envelopes.
static WORDS: LazyLock<(Vec<String>, Vec<String>)> = LazyLock::new(|| {
    let (mut names, mut texts) = (vec!["keys".to_owned(), "encoded".to_owned(), "sync_task_id".to_owned()], Vec::new());
    DOCUMENTS.iter().for_each(|document| collect(document, &mut names, &mut texts));
    for words in [&mut names, &mut texts] {
        words.sort();
        words.dedup();
    }
    (names, texts)
});

fn collect(value: &Value, names: &mut Vec<String>, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            texts.push(text.clone());
            if let Some(inner) = inner_json(text) {
                collect(&inner, names, texts);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names, texts)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            names.push(name.clone());
            collect(value, names, texts);
        }),
        _ => {}
    }
}

/// All member names that the fixtures have.
pub(super) fn member_names() -> &'static [String] {
    &WORDS.0
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
        prop::sample::select(&*WORDS.1).prop_map(Value::from),
        ".{0,5}".prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&*WORDS.0), inner), 0..8)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// A fixture in which some values are others, of another fixture or of nobody.
fn spoilt_fixture() -> impl Strategy<Value = Value> {
    (prop::sample::select(&*DOCUMENTS), prop::sample::select(&*DOCUMENTS), any_json(), any::<u64>())
        .prop_map(|(document, other, strange, seed)| rewrite::spoil(document, &[other, strange], seed))
}

fn options() -> impl Strategy<Value = DecodeOptions> {
    let format = prop::option::of(prop::sample::select(&Format::ALL[..]));
    let key_text = prop::sample::select(&[KeyText::Auto, KeyText::Form, KeyText::Raw][..]);
    (format, key_text, prop::sample::select(&[5, 10_000][..])).prop_map(|(format, key_text, max_changes)| {
        DecodeOptions { format, key_text, max_changes, ..Default::default() }
    })
}

/// The changes, once they are seen to be bounded.
fn bounded<'a>(record: &'a Record, options: &DecodeOptions) -> formats::Changes<'a> {
    let (changes, steps) = formats::explain(record, options);
    assert_eq!(changes, formats::decode(record, options), "explained otherwise");
    let length = record.bytes();
    assert!((1..=options.max_changes).contains(&changes.len()), "{changes:?}");
    assert!(steps.len() <= length * STEPS_A_BYTE + 1, "{} steps for {length} bytes", steps.len());
    let texts = changes.iter().flat_map(|change| [&change.bucket, &change.key, &change.task, &change.event_name]);
    let text: usize = texts.flatten().map(|text| text.len()).sum();
    assert!(text <= length + changes.len() * SHARED, "{text} bytes of text from {length}");
    changes
}

/// Whether a name is JSON itself: written otherwise, it is another name.
fn names_are_json(changes: &formats::Changes<'_>) -> bool {
    let names = changes.iter().flat_map(|change| [&change.bucket, &change.key, &change.task, &change.event_name]);
    names.flatten().any(|name| rewrite::inner_json(name.trim()).is_some())
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_a_bounded_answer(value in prop::collection::vec(any::<u8>(), 0..200), options in options()) {
        bounded(&record(Some(&value)), &options);
    }

    #[test]
    fn arbitrary_json_parses_and_gives_a_bounded_answer(value in any_json(), options in options()) {
        let record = record(Some(value.to_string().as_bytes()));
        let changes = bounded(&record, &options);
        prop_assert!(changes.iter().all(|change| change.outcome.reason() != Some(formats::Reason::InvalidUtf8)));
    }

    #[test]
    fn spoilt_fixtures_give_a_bounded_answer(value in spoilt_fixture(), options in options()) {
        bounded(&record(Some(value.to_string().as_bytes())), &options);
    }

    #[test]
    fn json_written_otherwise_is_decoded_alike(
        value in prop_oneof![any_json(), spoilt_fixture()], options in options(), seed in any::<u64>(),
    ) {
        let (plain, otherwise) = (value.to_string(), rewrite::written_otherwise(&value, seed));
        let (plain, otherwise) = (record(Some(plain.as_bytes())), record(Some(otherwise.as_bytes())));
        let changes = bounded(&plain, &options);
        prop_assume!(!names_are_json(&changes));
        prop_assert_eq!(changes, bounded(&otherwise, &options), "{:?}", otherwise);
    }
}

#[test]
fn every_fixture_written_otherwise_is_decoded_alike() {
    let mut tried = 0;
    for fixture in fixtures::all() {
        let (plain, options) = fixture_record(&fixture);
        let value = fixture.value.as_deref().unwrap_or_default();
        let Ok(value) = serde_json::from_slice(value.strip_prefix("\u{feff}".as_bytes()).unwrap_or(value)) else {
            continue;
        };
        tried += 1;
        for seed in 0..8 {
            let text = rewrite::written_otherwise(&value, seed);
            let otherwise = Record { value: Some(text.as_bytes().into()), ..plain.clone() };
            let expected = formats::decode(&plain, &options);
            assert_eq!(formats::decode(&otherwise, &options), expected, "{}, seed {seed}: {text}", fixture.file);
        }
    }
    assert!(tried >= 100, "{tried} fixtures are JSON");
}

#[test]
fn a_strange_value_in_any_place_gives_a_bounded_answer_however_it_is_written() {
    let strange = [json!([1, {}]), json!({"a": "b"}), json!(0), json!("/%😀")];
    let options = DecodeOptions::default();
    let mut tried = 0;
    for document in DOCUMENTS.iter() {
        for value in strange.iter().flat_map(|strange| rewrite::each_part_replaced(document, strange)) {
            tried += 1;
            let plain = record(Some(value.to_string().as_bytes()));
            let otherwise = record(Some(rewrite::written_otherwise(&value, tried).as_bytes()));
            assert_eq!(bounded(&otherwise, &options), formats::decode(&plain, &options), "{value}");
        }
    }
    assert!(tried >= 10_000, "{tried} tried");
}

#[test]
fn every_fixture_is_explained_as_it_is_decoded_with_one_step_a_change() {
    for fixture in fixtures::all() {
        let (record, options) = fixture_record(&fixture);
        let (changes, steps) = formats::explain(&record, &options);
        assert_eq!(changes, formats::decode(&record, &options), "{}", fixture.file);
        let told = steps.iter().filter(|step| matches!(step, Step::Change { .. })).count();
        let is_empty_list = changes[0].outcome.reason() == Some(formats::Reason::NoChanges);
        assert_eq!(told, if is_empty_list { 0 } else { changes.len() }, "{}: {steps:?}", fixture.file);
    }
}
