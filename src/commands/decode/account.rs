//! The account of `decode --explain`: what was done to a record, in lines. Texts of the record are quoted and escaped, so
//! that none of them can do anything to a terminal.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{Decoder, Judged};
use crate::formats::{self, Action, Change, KeyText, Step};
use crate::pipeline::key::EncodedKey;
use crate::pipeline::record::Record;

impl Decoder<'_> {
    pub(super) fn explain(&self, file: Option<&String>, record: &Record, out: &mut impl Write) -> io::Result<()> {
        let bytes = record.value.as_ref().map_or(0, |value| value.len());
        let name = file.map_or("record", String::as_str);
        let bold = Style::new().bold();
        writeln!(out, "{bold}{name}{bold:#}: {bytes} bytes, {} headers", record.headers.len())?;
        let (changes, steps) = formats::explain(record, &self.options);
        // A record that is rejected as a whole has one change, and the steps that led there say nothing of it.
        let mut left = changes.iter();
        for step in steps {
            match step {
                Step::Envelope(envelope) => line(out, "envelope", envelope)?,
                Step::Family(format, told_by) => line(out, "format", &format!("{}: {told_by}", format.as_str()))?,
                Step::Change { key } => {
                    if let Some(change) = left.next() {
                        self.explain_change(change, key.as_ref(), out)?;
                    }
                }
            }
        }
        left.try_for_each(|change| self.explain_change(change, None, out))
    }

    fn explain_change(
        &self,
        change: &Change<'_>,
        written: Option<&(String, KeyText)>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let judged = self.judge(change);
        let style = Style::new().bold().fg_color(Some(color(judged.outcome.action()).into()));
        let action = judged.outcome.action().as_str();
        let why = judged.outcome.reason().map_or_else(
            || "the event means new content".to_owned(),
            |reason| format!("{}: {}", reason.as_str(), reason.explanation()),
        );
        writeln!(out, "  {style}{action:<10}{style:#} {why}")?;
        if let Some(event) = &change.event_name {
            line(out, "  event", &format!("{event:?}"))?;
        }
        if let Some(bucket) = &change.bucket {
            line(out, "  bucket", &format!("{bucket:?}"))?;
        }
        if let Some((written, how)) = written {
            let how = if *how == KeyText::Form { "form-encoded" } else { "verbatim" };
            line(out, "  written", &format!("{written:?}, {how}"))?;
        }
        if let Some(key) = &change.key {
            line(out, "  key", &format!("{key:?}"))?;
        }
        if judged.outcome.action() != Action::Sync {
            return Ok(());
        }
        line(out, "  submitted", judged.encoded.as_ref().map_or("", EncodedKey::as_str))?;
        line(out, "  task", &self.route(change, &judged))
    }

    /// The task, and how it was found.
    fn route(&self, change: &Change<'_>, judged: &Judged) -> String {
        match (&judged.task, &change.task, &self.configured) {
            (Some(task), Some(_), _) => format!("{task}, named by the record or its header"),
            (Some(task), None, Some((_, config))) => {
                let key = change.key.as_deref().unwrap_or_default();
                let of_bucket = config.routes.iter().filter(|route| change.bucket.as_deref() == Some(&route.bucket));
                let prefixes = of_bucket.filter_map(|route| route.prefix.as_deref());
                let prefix = prefixes.filter(|prefix| key.starts_with(prefix)).max_by_key(|prefix| prefix.len());
                format!("{task}, by its bucket{}", prefix.map(|p| format!(" and prefix {p:?}")).unwrap_or_default())
            }
            (None, _, Some((_, config))) if config.discovery.is_some() => {
                "by the project's tasks: routes are discovered, and decode does not ask OMS; check shows them"
                    .to_owned()
            }
            _ => "by the route of its bucket; --config shows which".to_owned(),
        }
    }
}

const fn color(action: Action) -> AnsiColor {
    match action {
        Action::Sync => AnsiColor::Green,
        Action::Skip => AnsiColor::Yellow,
        Action::Reject => AnsiColor::Red,
    }
}

fn line(out: &mut impl Write, what: &str, text: &str) -> io::Result<()> {
    let dim = Style::new().dimmed();
    writeln!(out, "  {dim}{what:<12}{dim:#}{text}")
}
