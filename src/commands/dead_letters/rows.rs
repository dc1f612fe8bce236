//! Dead letters as lines: a table, JSON or CSV. Pure. Never lets a key or a message steer a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::letter::{Letter, Said, Stage};
use crate::commands::printable::printable;

/// Keys of one letter that a line of the table shows.
const KEYS_SHOWN: usize = 3;
/// Reasons that are counted apart; what else there is counts as [`OTHERS`].
const MAX_REASONS: usize = 100;
const OTHERS: &str = "(others)";
/// Stands for the reason of what is no dead letter of a worker.
const FOREIGN: &str = "(not ours)";

/// How letters are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    /// Counts for each reason, then a line each
    Table,
    /// One JSON object a line
    Json,
    /// With a line of names on top
    Csv,
}

/// One letter, in the order of the columns of CSV.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Row {
    topic: String,
    partition: i32,
    offset: i64,
    written_at: String,
    /// What is wrong with the headers, where this is no dead letter of a worker; then nothing below is known.
    problem: Option<String>,
    replayed: bool,
    source_topic: Option<String>,
    source_partition: Option<i32>,
    source_offset: Option<i64>,
    source_timestamp: Option<String>,
    group: Option<String>,
    stage: Option<Stage>,
    reason: Option<String>,
    task: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    first_failure_at: Option<String>,
    attempts: Option<u32>,
    replays: Option<u32>,
    /// What of the source record was too large to be kept.
    omitted: Option<String>,
    failed_keys: Vec<String>,
}

pub(super) const CSV_COLUMNS: [&str; 23] = [
    "topic",
    "partition",
    "offset",
    "written_at",
    "problem",
    "replayed",
    "source_topic",
    "source_partition",
    "source_offset",
    "source_timestamp",
    "group",
    "stage",
    "reason",
    "task",
    "status",
    "code",
    "message",
    "request_id",
    "first_failure_at",
    "attempts",
    "replays",
    "omitted",
    "failed_keys",
];

/// Columns of the table.
pub(super) const HEADER: [&str; 10] =
    ["WRITTEN", "REASON", "STAGE", "STATUS", "CODE", "TASK", "SOURCE", "REPLAYS", "REPLAYED", "FAILED KEYS"];

impl Row {
    pub(super) fn of(letter: Letter, replayed: bool) -> Self {
        let Letter { record, said } = letter;
        let (said, problem) = match said {
            Ok(said) => (Some(said), None),
            Err(problem) => (None, Some(problem)),
        };
        let of = |take: fn(&Said) -> String| said.as_ref().map(take);
        Self {
            topic: record.topic.to_string(),
            partition: record.partition,
            offset: record.offset,
            written_at: time(record.timestamp_ms),
            problem,
            replayed,
            source_topic: of(|said| said.topic.clone()),
            source_partition: said.as_ref().map(|said| said.partition),
            source_offset: said.as_ref().map(|said| said.offset),
            source_timestamp: of(|said| said.timestamp.clone()),
            group: of(|said| said.group.clone()),
            stage: said.as_ref().map(|said| said.stage),
            reason: of(|said| said.reason.clone()),
            first_failure_at: of(|said| said.first_failure_at.clone()),
            attempts: said.as_ref().map(|said| said.attempts),
            replays: said.as_ref().map(|said| said.replays),
            status: said.as_ref().and_then(|said| said.status),
            task: said.as_ref().and_then(|said| said.task.clone()),
            code: said.as_ref().and_then(|said| said.code.clone()),
            message: said.as_ref().and_then(|said| said.message.clone()),
            request_id: said.as_ref().and_then(|said| said.request_id.clone()),
            omitted: said.as_ref().and_then(|said| said.omitted.clone()),
            failed_keys: said.map(|said| said.keys).unwrap_or_default(),
        }
    }

    pub(super) fn csv(&self) -> [String; CSV_COLUMNS.len()] {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        [
            self.topic.clone(),
            self.partition.to_string(),
            self.offset.to_string(),
            self.written_at.clone(),
            text(&self.problem),
            self.replayed.to_string(),
            text(&self.source_topic),
            shown(self.source_partition),
            shown(self.source_offset),
            text(&self.source_timestamp),
            text(&self.group),
            self.stage.map_or("", Stage::as_str).to_owned(),
            text(&self.reason),
            text(&self.task),
            shown(self.status),
            text(&self.code),
            text(&self.message),
            text(&self.request_id),
            text(&self.first_failure_at),
            shown(self.attempts),
            shown(self.replays),
            text(&self.omitted),
            serde_json::json!(self.failed_keys).to_string(),
        ]
    }

    /// The cells under [`HEADER`].
    pub(super) fn cells(&self) -> [String; HEADER.len()] {
        let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), printable);
        let place = |topic: &str, partition: i32, offset: i64| printable(&format!("{topic}[{partition}]@{offset}"));
        let source = match (&self.source_topic, self.source_partition, self.source_offset) {
            (Some(topic), Some(partition), Some(offset)) => place(topic, partition, offset),
            _ => place(&self.topic, self.partition, self.offset),
        };
        [
            self.written_at.clone(),
            self.reason.as_deref().map_or_else(|| FOREIGN.to_owned(), printable),
            self.stage.map_or("-", Stage::as_str).to_owned(),
            self.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            text(self.code.as_deref()),
            text(self.task.as_deref()),
            source,
            self.replays.map_or_else(|| "-".to_owned(), |replays| replays.to_string()),
            if self.replayed { "yes" } else { "no" }.to_owned(),
            match (&self.problem, &self.omitted) {
                (Some(problem), _) => printable(problem),
                (None, None) => keys(&self.failed_keys),
                (None, Some(omitted)) => {
                    format!("{} (too large, without {})", keys(&self.failed_keys), printable(omitted))
                }
            },
        ]
    }
}

/// How many letters there are for each reason.
#[derive(Debug, Default)]
pub(super) struct Counts {
    reasons: BTreeMap<String, Count>,
    all: Count,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Count {
    letters: u64,
    keys: u64,
    replayed: u64,
}

impl Counts {
    pub(super) fn add(&mut self, letter: &Letter, replayed: bool) {
        let (reason, keys) = match &letter.said {
            Ok(said) => (said.reason.as_str(), said.keys.len() as u64),
            Err(_) => (FOREIGN, 0),
        };
        let is_room = self.reasons.len() < MAX_REASONS || self.reasons.contains_key(reason);
        let reason = printable(if is_room { reason } else { OTHERS });
        for count in [self.reasons.entry(reason).or_default(), &mut self.all] {
            count.letters += 1;
            count.keys += keys;
            count.replayed += u64::from(replayed);
        }
    }

    pub(super) const fn letters(&self) -> u64 {
        self.all.letters
    }

    pub(super) fn table(&self) -> String {
        let row = |(reason, count): (&str, &Count)| {
            [reason.to_owned(), count.letters.to_string(), count.keys.to_string(), count.replayed.to_string()]
        };
        let reasons = self.reasons.iter().map(|(reason, count)| row((reason, count)));
        let rows: Vec<_> = reasons.chain([row(("all", &self.all))]).collect();
        table(["REASON", "LETTERS", "FAILED KEYS", "REPLAYED"], &rows)
    }
}

/// As wide as the widest cell of each column, two blanks between them.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let mut widths = [0; N];
    for row in std::iter::once(&header).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    std::iter::once(&header).chain(rows).fold(String::new(), |mut text, row| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:width$}  ").ok(); // a String takes all
        }
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

fn keys(keys: &[String]) -> String {
    let shown: Vec<String> = keys.iter().take(KEYS_SHOWN).map(|key| printable(key)).collect();
    match (shown.is_empty(), keys.len() - shown.len()) {
        (true, _) => "-".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

fn shown(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn time(ms: Option<i64>) -> String {
    let ms = ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;
    use crate::pipeline::record::Record;

    #[test]
    fn the_table_has_counts_for_each_reason_and_what_is_not_ours() {
        let mut counts = Counts::default();
        counts.add(&letter("{}", &[]), true);
        counts.add(&letter("{}", &[]), false);
        counts.add(&Letter::of(Record::at("t.dlq", 0, 0)), false);
        assert_eq!(
            counts.table(),
            "REASON      LETTERS  FAILED KEYS  REPLAYED\n\
             (not ours)  1        0            0\n\
             refused     2        4            1\n\
             all         3        4            1\n"
        );
    }

    #[test]
    fn reasons_without_end_are_counted_together() {
        let mut counts = Counts::default();
        for number in 0..2 * MAX_REASONS {
            counts.add(&letter("{}", &[("oms-sync.reason", &format!("r{number}"))]), false);
        }
        assert_eq!(counts.reasons.len(), MAX_REASONS + 1);
        assert_eq!(counts.letters(), 2 * MAX_REASONS as u64);
    }

    #[test]
    fn a_line_shows_some_keys_and_no_control_character() {
        let row = Row::of(letter("{}", &[("oms-sync.failed-keys", r#"["\u001b[2J","b","c","d"]"#)]), false);
        let cells = row.cells();
        assert_eq!(cells[9], "\\u{1b}[2J, b, c and 1 more");
        assert_eq!((cells[0].as_str(), cells[6].as_str()), ("2026-09-30T08:15:27.318Z", "t[3]@42"));
    }

    #[test]
    fn a_line_tells_what_a_letter_that_was_too_large_lacks() {
        let row = Row::of(letter("{}", &[("oms-sync.value-omitted", "value, headers")]), false);
        assert_eq!(row.cells()[9], "a b, c (too large, without value, headers)");
    }

    #[test]
    fn a_record_that_is_not_ours_shows_its_own_place_and_what_is_wrong() {
        let row = Row::of(Letter::of(Record::at("t.dlq", 1, 7)), false);
        assert_eq!(row.cells()[6], "t.dlq[1]@7");
        assert!(row.cells()[9].contains("oms-sync.stage is missing"));
    }

    #[test]
    fn csv_has_the_columns_of_json() {
        let row = Row::of(letter("{}", &[]), true);
        let json = serde_json::to_value(&row).unwrap();
        let members = json.as_object().unwrap();
        assert_eq!(members.len(), CSV_COLUMNS.len());
        for (name, cell) in CSV_COLUMNS.iter().zip(row.csv()) {
            let member = match &members[*name] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell, member, "{name}");
        }
    }
}
