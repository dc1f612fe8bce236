//! The fixtures of the worker's tests, as seeds. Read when a target begins; the corpus is never part of the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;

use crate::formats::{self, DecodeOptions, Format, Step};
use crate::input;
use crate::pipeline::record::Record;

#[derive(Deserialize)]
struct Meta {
    kafka_headers: BTreeMap<String, String>,
    value_kind: String,
}

type Fixture = (String, Option<Vec<u8>>, BTreeMap<String, String>);

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/records");
    let read = |file: &str| fs::read(folder.join(file)).unwrap_or_else(|error| panic!("cannot read {file}: {error}"));
    let meta: BTreeMap<String, Meta> = serde_json::from_slice(&read("meta.json")).expect("meta.json is as expected");
    let of = |(file, meta): (String, Meta)| {
        let value = (meta.value_kind != "null").then(|| read(&file));
        (file, value, meta.kafka_headers)
    };
    meta.into_iter().map(of).collect()
}

/// Values that are in no envelope, whatever format is wanted, and of which no header says anything: what may be put into
/// envelopes.
///
/// # Panics
/// Where the fixtures are not there.
#[must_use]
pub fn bare() -> Vec<String> {
    let of = |(_, value, headers): Fixture| {
        let text = String::from_utf8(value?).ok().filter(|text| !text.is_empty() && headers.is_empty())?;
        let record = Record { value: Some(text.as_bytes().into()), ..Record::at("t", 0, 0) };
        // What is a family's own may be an envelope where another family is wanted: Google's Pub/Sub messages.
        let is_envelope = |format| {
            let (_, steps) = formats::explain(&record, &DecodeOptions { format, ..DecodeOptions::default() });
            steps.iter().any(|step| matches!(step, Step::Envelope(_)))
        };
        let mut formats = Format::ALL.into_iter().map(Some).chain([None]);
        (!formats.any(is_envelope)).then_some(text)
    };
    let bare: Vec<_> = fixtures().into_iter().filter_map(of).collect();
    assert!(bare.len() >= 50, "{} fixtures are in no envelope", bare.len());
    bare
}

/// Writes the seeds of `decode` into the corpus, which is the first directory among the arguments.
///
/// # Panics
/// Where the fixtures are not there, or the directory cannot be written.
pub fn write() {
    let Some(corpus) = env::args().skip(1).map(PathBuf::from).find(|path| path.is_dir()) else { return };
    for (file, value, headers) in fixtures() {
        let headers = headers.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let seed = input::write(value.as_deref(), headers);
        fs::write(corpus.join(file.replace('/', "_")), seed).expect("the corpus can be written");
    }
}
