//! Which dead letters are meant. Pure, but that a duration ago is counted from a given now.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::PossibleValuesParser;
use glob::Pattern;

use super::letter::{Letter, Stage};
use crate::formats::Reason;
use crate::pipeline::failure::REFUSALS;

/// The filters of both commands. All that are given must hold; of one that is given more than once, any.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filter {
    /// Only of this task; may be given more than once
    #[arg(long, value_name = "ID")]
    task: Vec<String>,
    /// Only for this reason, such as refused, `task_not_found` or `no_route`; may be given more than once
    #[arg(long, value_name = "WORD", value_parser = reasons(), hide_possible_values = true)]
    reason: Vec<String>,
    /// Only from this stage; may be given more than once
    #[arg(long, value_name = "STAGE", value_enum)]
    stage: Vec<Stage>,
    /// Only with this HTTP status of OMS
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(100..=599))]
    status: Option<u16>,
    /// Only with this error code of OMS, such as OMS.0001
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only where a failed key matches: `*` is any text (slashes too), `?` one character, `[a-z]` one of a set
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    key: Option<Pattern>,
    /// Only those written since then: a duration ago such as 2h, or a time such as 2026-11-24T08:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Only those written before then
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
}

/// A time, or a duration ago.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    At(SystemTime),
    Ago(Duration),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = humantime::parse_rfc3339(text).map(Self::At);
        let ago = || humantime::parse_duration(text).map(Self::Ago);
        at.or_else(|_| ago()).map_err(|_| {
            "write a duration ago such as 90s, 2h or 3days, or a time in UTC such as 2026-11-24T08:00:00Z".to_owned()
        })
    }
}

impl Moment {
    /// Milliseconds since the Unix epoch; a duration that reaches beyond it is the epoch.
    fn as_ms(self, now: SystemTime) -> i64 {
        let at = match self {
            Self::At(time) => time,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(UNIX_EPOCH),
        };
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Filter {
    /// Whether the letter is meant.
    pub(super) fn takes(&self, letter: &Letter, now: SystemTime) -> bool {
        let at = letter.record.timestamp_ms.unwrap_or_default();
        let in_time = self.since.is_none_or(|since| at >= since.as_ms(now))
            && self.until.is_none_or(|until| at < until.as_ms(now));
        in_time && self.takes_headers(letter)
    }

    /// What is not ours has no task, reason and so on: it is meant only where none is asked for.
    fn takes_headers(&self, letter: &Letter) -> bool {
        let Ok(said) = &letter.said else { return !self.asks_for_headers() };
        let any = |asked: &[String], said: Option<&str>| {
            asked.is_empty() || said.is_some_and(|said| asked.iter().any(|asked| asked == said))
        };
        any(&self.task, said.task.as_deref())
            && any(&self.reason, Some(&said.reason))
            && (self.stage.is_empty() || self.stage.contains(&said.stage))
            && self.status.is_none_or(|status| said.status == Some(status))
            && self.code.as_deref().is_none_or(|code| said.code.as_deref() == Some(code))
            && self.key.as_ref().is_none_or(|key| said.keys.iter().any(|one| key.matches(one)))
    }

    fn asks_for_headers(&self) -> bool {
        let lists = [self.task.is_empty(), self.reason.is_empty(), self.stage.is_empty()];
        !lists.into_iter().all(|empty| empty) || self.status.is_some() || self.code.is_some() || self.key.is_some()
    }
}

/// The words that a worker of this version writes.
fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(REFUSALS.into_iter().chain(Reason::REJECTS.map(Reason::as_str)))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|why| format!("{}, at its character {}", why.msg, why.pos + 1))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::letter::tests::letter;
    use super::*;
    use crate::pipeline::record::Record;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        filter: Filter,
    }

    fn parse(args: &[&str]) -> Result<Filter, String> {
        let args = ["list"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.filter).map_err(|error| error.to_string())
    }

    /// An hour after the letters were written.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_790_756_127_318) + Duration::from_hours(1)
    }

    #[test]
    fn each_filter_takes_what_it_names_and_nothing_else() {
        let letter = letter("{}", &[]);
        for (args, expected) in [
            (&[][..], true),
            (&["--task", "task-1"], true),
            (&["--task", "task-2"], false),
            (&["--task", "task-2", "--task", "task-1"], true),
            (&["--reason", "refused"], true),
            (&["--reason", "no_route"], false),
            (&["--stage", "submit"], true),
            (&["--stage", "route"], false),
            (&["--status", "400"], true),
            (&["--status", "404"], false),
            (&["--code", "OMS.0001"], true),
            (&["--code", "OMS.0002"], false),
            (&["--key", "a*"], true),
            (&["--key", "?"], true),
            (&["--key", "b*"], false),
            (&["--since", "2h"], true),
            (&["--since", "30m"], false),
            (&["--until", "30m"], true),
            (&["--until", "2h"], false),
            (&["--since", "2026-09-30T08:15:27.318Z"], true),
            (&["--until", "2026-09-30T08:15:27.318Z"], false),
            (&["--task", "task-1", "--status", "404"], false),
        ] {
            assert_eq!(parse(args).unwrap().takes(&letter, now()), expected, "{args:?}");
        }
    }

    #[test]
    fn what_is_not_ours_is_meant_only_where_no_header_is_asked_for() {
        let foreign = Letter::of(Record { timestamp_ms: Some(0), ..Record::at("t.dlq", 0, 0) });
        assert!(parse(&[]).unwrap().takes(&foreign, now()));
        assert!(parse(&["--until", "1s"]).unwrap().takes(&foreign, now()));
        for args in [["--task", "t"], ["--stage", "decode"], ["--status", "400"], ["--key", "*"]] {
            assert!(!parse(&args).unwrap().takes(&foreign, now()), "{args:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_told_with_what_to_write() {
        for (args, expected) in [
            (["--key", "[a"], "at its character"),
            (["--since", "yesterday"], "2026-11-24T08:00:00Z"),
            (["--status", "4000"], "100..=599"),
            (["--stage", "sent"], "decode, route, submit"),
            (["--reason", "refusd"], "'refused'"),
        ] {
            let told = parse(&args).unwrap_err();
            assert!(told.contains(expected), "{args:?}: {told}");
        }
    }
}
