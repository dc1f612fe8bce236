//! Envelopes from outside: each kind around every fixture, and each in itself without end.

use std::thread;

use oms_sync_worker::formats::{self, DecodeOptions, Step};
use oms_sync_worker::pipeline::record::{Header, Record};

use super::properties::member_names;
use super::wrap::{KINDS, Kind, Wrapped};
use super::{fixture_record, record, words};
use crate::fixtures;

/// A quarter of what the polling thread has.
const STACK_BYTES: usize = 512 * 1024;

/// Longest bomb.
const MOST_BYTES: usize = 1 << 20;

fn record_of(wrapped: &Wrapped) -> Record {
    let header = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Some(value.as_bytes().into()) };
    Record { headers: wrapped.headers.iter().map(header).collect(), ..record(Some(&wrapped.value)) }
}

/// Format, outcome, bucket and key of each change.
fn told(record: &Record, options: &DecodeOptions) -> Vec<String> {
    let changes = formats::decode(record, options);
    changes.iter().map(|c| format!("{:?} {:?} {:?} {:?}", c.format, c.outcome, c.bucket, c.key)).collect()
}

#[test]
fn one_envelope_more_changes_nothing_in_any_fixture_but_the_one_that_has_five_already() {
    let mut tried = 0;
    for fixture in fixtures::all().into_iter().filter(|fixture| fixture.headers.is_empty()) {
        let (bare, options) = fixture_record(&fixture);
        // A record's whole value may be bytes; an envelope has text.
        let text = bare.value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
        let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with('\0')) else { continue };
        for kind in KINDS.into_iter().filter(|kind| !kind.has_siblings()) {
            let Some(wrapped) = Wrapped::bare(text).wrap(kind) else { continue };
            tried += 1;
            let is_too_deep = kind.levels() > 0 && fixture.file == "aws/five_envelopes.json";
            let expected = if is_too_deep {
                vec!["None Reject(NestedTooDeep) None None".to_owned()]
            } else {
                told(&bare, &options)
            };
            assert_eq!(told(&record_of(&wrapped), &options), expected, "{} in {kind:?}", fixture.file);
        }
    }
    assert!(tried >= 2_000, "{tried} envelopes tried");
}

/// The record in so many envelopes of a kind, or as many as may be.
fn bomb(kind: Kind, levels: usize) -> Wrapped {
    let mut wrapped = Wrapped::bare(r#"{"bucket":"b","key":"x"}"#);
    for _ in 0..levels {
        match wrapped.clone().wrap(kind) {
            Some(outer) if outer.value.len() <= MOST_BYTES => wrapped = outer,
            _ => break,
        }
    }
    wrapped
}

#[test]
fn envelopes_without_end_are_refused_at_the_sixth_whatever_is_in_it() {
    let nests = |kind: &Kind| kind.levels() > 0 && bomb(*kind, 1).wrap(*kind).is_some();
    let (nesting, others): (Vec<_>, Vec<_>) = KINDS.into_iter().filter(|kind| kind.levels() > 0).partition(nests);
    assert_eq!(
        others,
        [Kind::ConfluentWire, Kind::CloudEventsBinary, Kind::Base64, Kind::Base64Url],
        "go on values only"
    );
    for kind in nesting {
        let steps = |levels: usize| {
            let bomb = bomb(kind, levels);
            let (_, steps) = formats::explain(&record_of(&bomb), &DecodeOptions::default());
            let found = words(&record_of(&bomb), &DecodeOptions::default());
            assert!(found.contains(&"reject nested_too_deep".to_owned()), "{kind:?}: {found:?}");
            assert!(!found.contains(&"sync x".to_owned()), "{kind:?}: {found:?}");
            assert_eq!(steps.iter().filter(|step| matches!(step, Step::Envelope(_))).count(), opened(kind), "{kind:?}");
            steps.len()
        };
        assert_eq!(steps(10), steps(200), "{kind:?}: as much is done for many as for some");
    }
}

/// Envelopes that are opened in a bomb: five, and where siblings are envelopes too theirs.
const fn opened(kind: Kind) -> usize {
    if matches!(kind, Kind::LambdaSqsBeside) { 15 } else { 5 }
}

#[test]
fn a_list_of_twice_as_many_takes_twice_as_many_steps() {
    let item = r#"{"events":[{"bucket":"b","key":"x"},"[]",""]}"#;
    let steps = |items: usize| {
        let value = format!(r#"{{"events":[{}]}}"#, vec![item; items].join(","));
        let options = DecodeOptions { max_changes: usize::MAX, ..DecodeOptions::default() };
        formats::explain(&record(Some(value.as_bytes())), &options).1.len()
    };
    let (once, twice) = (steps(1_000), steps(2_000));
    assert!(once >= 1_000 && twice <= 2 * once, "{once} and {twice} steps");
}

#[test]
fn a_nesting_bomb_in_any_member_ends_within_a_small_stack() {
    let run = || {
        for name in member_names() {
            for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (&*format!(r#"{{"{name}":"#), "}")] {
                let deep = format!("{}0{}", open.repeat(5_000), close.repeat(5_000));
                for value in [format!(r#"{{"{name}":{deep}}}"#), format!(r#"{{"Records":[{{"{name}":{deep}}}]}}"#)] {
                    let found = words(&record(Some(value.as_bytes())), &DecodeOptions::default());
                    assert_eq!(found.len(), 1, "{name}: {found:?}");
                }
            }
        }
    };
    thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap();
}
