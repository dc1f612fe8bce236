//! `decode`: what the worker would make of a record, one JSON line a change. Reads files or standard input, nothing
//! else: no Kafka, no OMS, and no routes, so `task` is the one that the record names.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::formats::{self, Change, DecodeOptions, Format, KeyText, Outcome, Reason};
use crate::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use crate::pipeline::record::{Header, Record};

/// Shows what the worker would do with a record's value: one JSON line an object change.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  oms-sync-worker decode --header oms-sync-task=31e9b7e6 record.json")]
pub struct DecodeArgs {
    /// Topic that the record is from.
    #[arg(long, value_name = "T", default_value = "")]
    topic: String,
    /// Header of the record; may be given more than once.
    #[arg(long = "header", value_name = "K=V", value_parser = parse_header)]
    headers: Vec<Header>,
    /// Format of the record.
    #[arg(long, value_name = "F", default_value = "auto", value_parser = formats_or_auto())]
    format: String,
    /// How keys are written in the record.
    #[arg(long, value_name = "E", default_value = "auto", value_parser = ["auto", "form", "raw"])]
    key_encoding: String,
    /// Files, each with the value of one record; none: standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// One line of output.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    action: &'static str,
    bucket: Option<&'a str>,
    key: Option<&'a str>,
    encoded_key: Option<&'a str>,
    kind: &'static str,
    reason: Option<&'static str>,
    format: Option<&'static str>,
    event_name: Option<&'a str>,
    task: Option<&'a str>,
}

/// Decodes what the arguments name and prints to standard output. Fails if a file cannot be read, after all others.
pub fn run(args: &DecodeArgs) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let done = decode_all(args, &mut io::stdin().lock(), &mut out);
    out.flush().context("cannot write to standard output")?;
    done
}

/// As [`run`], with the given standard input and output.
pub fn decode_all(args: &DecodeArgs, stdin: &mut impl Read, out: &mut impl Write) -> anyhow::Result<()> {
    if args.files.is_empty() {
        let mut value = Vec::new();
        stdin.read_to_end(&mut value).context("cannot read standard input")?;
        return print(args, None, value, out);
    }
    let mut unreadable = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        match fs::read(file) {
            Ok(value) => print(args, Some(&name).filter(|_| args.files.len() > 1), value, out)?,
            Err(error) => unreadable.push(format!("{name}: {error}")),
        }
    }
    if !unreadable.is_empty() {
        bail!("cannot read {}", unreadable.join("; "));
    }
    Ok(())
}

fn print(args: &DecodeArgs, file: Option<&String>, value: Vec<u8>, out: &mut impl Write) -> anyhow::Result<()> {
    let record = Record {
        topic: args.topic.as_str().into(),
        partition: 0,
        offset: 0,
        timestamp_ms: None,
        key: None,
        value: Some(value.into()),
        headers: args.headers.clone().into(),
    };
    for change in formats::decode(&record, &args.options()) {
        print_change(file.map(String::as_str), &change, out).context("cannot write to standard output")?;
    }
    Ok(())
}

fn print_change(file: Option<&str>, change: &Change<'_>, out: &mut impl Write) -> io::Result<()> {
    let key = change.key.as_deref();
    let encoded = key.map(|key| EncodedKey::encode(key, KeyEncoding::Percent));
    let outcome = match (change.outcome, &encoded, &change.task) {
        (Outcome::Sync, _, Some(task)) if TaskId::new(task).is_err() => Outcome::Reject(Reason::InvalidTask),
        (Outcome::Sync, Some(Err(error)), _) => Outcome::Reject((*error).into()),
        (outcome, ..) => outcome,
    };
    let encoded = encoded.and_then(Result::ok);
    let line = Line {
        file,
        action: outcome.action().as_str(),
        bucket: change.bucket.as_deref(),
        key,
        encoded_key: encoded.as_ref().map(EncodedKey::as_str),
        kind: outcome.kind().as_str(),
        reason: outcome.reason().map(Reason::as_str),
        format: change.format.map(Format::as_str),
        event_name: change.event_name.as_deref(),
        task: change.task.as_deref(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

impl DecodeArgs {
    fn options(&self) -> DecodeOptions {
        DecodeOptions {
            format: Format::ALL.into_iter().find(|format| format.as_str() == self.format),
            key_text: match self.key_encoding.as_str() {
                "form" => KeyText::Form,
                "raw" => KeyText::Raw,
                _ => KeyText::Auto,
            },
            ..DecodeOptions::default()
        }
    }
}

fn formats_or_auto() -> PossibleValuesParser {
    PossibleValuesParser::new(["auto"].into_iter().chain(Format::ALL.map(Format::as_str)))
}

fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok(Header { name: name.into(), value: Some(value.as_bytes().into()) })
}
