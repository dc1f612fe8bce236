//! `decode`: what the worker would make of a record, one JSON line a change, or an account of each step for people.
//!
//! Reads files or standard input and, where it is named, the worker's configuration: then records are read as those of
//! the topic, and routed. Asks neither Kafka nor OMS.

mod account;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::config::{self, Config};
use crate::formats::{self, Change, DecodeOptions, Format, KeyText, Outcome, Reason};
use crate::pipeline::intake::Intake;
use crate::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use crate::pipeline::record::{Header, Record};
use crate::worker;

/// The file name that stands for standard input.
const STDIN: &str = "-";
/// Told where no table of routes is written.
const DISCOVERED: &str = "routes are discovered, and decode does not ask OMS: a task is shown only where the record names one; \
     oms-sync-worker check shows the routes";

/// Shows what the worker would do with a record's value: one JSON line an object change.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Examples:\n  oms-sync-worker decode record.json\n  \
                        oms-sync-worker decode --explain --config worker.yaml --topic object-changes record.json\n  \
                        kcat -C -t object-changes -c 1 -e | oms-sync-worker decode --header oms-sync-task=31e9b7e6 -")]
pub struct DecodeArgs {
    /// Topic that the record is from: with --config its options under records.topics hold.
    #[arg(long, value_name = "T", default_value = "")]
    topic: String,
    /// Header of the record; may be given more than once.
    #[arg(long = "header", value_name = "K=V", value_parser = parse_header)]
    headers: Vec<Header>,
    #[arg(long, value_name = "F", value_parser = formats_or_auto(), hide_possible_values = true,
          help = format!("Format of the record: {} [default: auto, or as configured]", format_list()))]
    format: Option<String>,
    /// How keys are written in the record [default: auto, or as configured]
    #[arg(long, value_name = "E", value_parser = ["auto", "form", "raw"])]
    key_encoding: Option<String>,
    /// Configuration file of the worker: policies and routes are applied as the worker would. The environment is read
    /// too.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Account of each step instead of JSON lines: envelopes, format, rule, key, route.
    #[arg(long)]
    explain: bool,
    /// Files, each with the value of one record; `-` or none: standard input.
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

/// What the worker would do about a change.
struct Judged {
    outcome: Outcome,
    encoded: Option<EncodedKey>,
    task: Option<String>,
}

/// How records are read and judged.
struct Decoder<'a> {
    args: &'a DecodeArgs,
    options: DecodeOptions,
    /// With the routes and policies of a configuration, if there is one.
    configured: Option<(Intake, Config)>,
}

/// Decodes what the arguments name and prints to standard output. Fails if the configuration is wrong, and, after all
/// others, if a file cannot be read.
pub fn run(args: &DecodeArgs) -> anyhow::Result<()> {
    let mut stdin = io::stdin().lock();
    if args.explain {
        return write_all(args, &mut stdin, anstream::stdout().lock()); // no colours where it is no terminal
    }
    write_all(args, &mut stdin, io::stdout().lock())
}

fn write_all(args: &DecodeArgs, stdin: &mut impl Read, out: impl Write) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(out);
    let done = decode_all(args, stdin, &mut out);
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        flushed => flushed.context("cannot write to standard output")?,
    }
    done
}

/// As [`run`], with the given standard input and output; colours are always in it.
pub fn decode_all(args: &DecodeArgs, stdin: &mut impl Read, out: &mut impl Write) -> anyhow::Result<()> {
    let decoder = Decoder::new(args)?;
    let stdin_alone = [PathBuf::from(STDIN)];
    let files = if args.files.is_empty() { &stdin_alone[..] } else { &args.files };
    let mut unreadable = Vec::new();
    for file in files {
        let name = file.display().to_string();
        match read(file, stdin) {
            Ok(value) => decoder.print(Some(&name).filter(|_| files.len() > 1), value, out)?,
            Err(error) => unreadable.push(format!("{name}: {error}")),
        }
    }
    if !unreadable.is_empty() {
        bail!("cannot read {}", unreadable.join("; "));
    }
    Ok(())
}

fn read(file: &Path, stdin: &mut impl Read) -> io::Result<Vec<u8>> {
    if file != Path::new(STDIN) {
        return fs::read(file);
    }
    let mut value = Vec::new();
    stdin.read_to_end(&mut value)?;
    Ok(value)
}

impl<'a> Decoder<'a> {
    fn new(args: &'a DecodeArgs) -> anyhow::Result<Self> {
        let configured = match &args.config {
            Some(file) => {
                let config = config::load(Some(file), config::process_environment())?.config;
                if config.discovery.is_some() && !args.explain {
                    writeln!(io::stderr(), "{DISCOVERED}").ok(); // nobody reads it
                }
                Some((worker::intake(&config), config))
            }
            None => None,
        };
        let mut options =
            configured.as_ref().map_or_else(DecodeOptions::default, |(_, config)| config.decode_options(&args.topic));
        if let Some(name) = &args.format {
            options.format = Format::from_name(name);
        }
        match args.key_encoding.as_deref() {
            Some("auto") => options.key_text = KeyText::Auto,
            Some("form") => options.key_text = KeyText::Form,
            Some("raw") => options.key_text = KeyText::Raw,
            _ => {}
        }
        Ok(Self { args, options, configured })
    }

    fn print(&self, file: Option<&String>, value: Vec<u8>, out: &mut impl Write) -> anyhow::Result<()> {
        let record = Record {
            value: Some(value.into()),
            headers: self.args.headers.clone().into(),
            ..Record::at(self.args.topic.as_str(), 0, 0)
        };
        let printed = if self.args.explain {
            self.explain(file, &record, out)
        } else {
            let changes = formats::decode(&record, &self.options);
            changes.iter().try_for_each(|change| self.print_line(file.map(String::as_str), change, out))
        };
        printed.context("cannot write to standard output")
    }

    fn print_line(&self, file: Option<&str>, change: &Change<'_>, out: &mut impl Write) -> io::Result<()> {
        let judged = self.judge(change);
        let line = Line {
            file,
            action: judged.outcome.action().as_str(),
            bucket: change.bucket.as_deref(),
            key: change.key.as_deref(),
            encoded_key: judged.encoded.as_ref().map(EncodedKey::as_str),
            kind: judged.outcome.kind().as_str(),
            reason: judged.outcome.reason().map(Reason::as_str),
            format: change.format.map(Format::as_str),
            event_name: change.event_name.as_deref(),
            task: judged.task.as_deref(),
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")
    }

    /// Without a configuration there are no routes: a change without a task is just not routed.
    fn judge(&self, change: &Change<'_>) -> Judged {
        let named = change.task.as_deref().map(str::to_owned);
        let key = change.key.as_deref();
        if let Some((intake, _)) = &self.configured {
            let (outcome, work) = intake.judge(change);
            let encoded = key.and_then(|key| intake.encode(key).ok());
            return Judged { outcome, encoded, task: work.map(|(task, _)| task.as_str().to_owned()).or(named) };
        }
        let encoded = key.map(|key| EncodedKey::encode(key, KeyEncoding::Percent));
        let outcome = match (change.outcome, &encoded, &named) {
            (Outcome::Sync, _, Some(task)) if TaskId::new(task).is_err() => Outcome::Reject(Reason::InvalidTask),
            (Outcome::Sync, Some(Err(error)), _) => Outcome::Reject((*error).into()),
            (outcome, ..) => outcome,
        };
        Judged { outcome, encoded: encoded.and_then(Result::ok), task: named }
    }
}

fn format_list() -> String {
    ["auto"].into_iter().chain(Format::ALL.map(Format::as_str)).collect::<Vec<_>>().join(", ")
}

fn formats_or_auto() -> PossibleValuesParser {
    PossibleValuesParser::new(["auto"].into_iter().chain(Format::ALL.map(Format::as_str)))
}

fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok(Header { name: name.into(), value: Some(value.as_bytes().into()) })
}
