//! The report, as Markdown. Pure but for the revision that it asks git for.

use std::fmt::Write as _;
use std::process::Command;

use crate::fleet::SETTINGS;
use crate::options::Options;
use crate::oracles::{Injected, Size};
use crate::story::{Ms, Story, What};

/// All that is reported.
pub(crate) struct Facts<'a> {
    pub(crate) end: &'a str,
    pub(crate) options: &'a Options,
    /// What was checked out when it began.
    pub(crate) revision: &'a str,
    pub(crate) now: Ms,
    pub(crate) kinds: &'a [&'static str],
    pub(crate) faults: &'a [Injected],
    pub(crate) story: &'a Story,
    /// Of the first worker, by span of time.
    pub(crate) sizes: Vec<Size>,
    pub(crate) sizes_span: Ms,
    pub(crate) starts: Vec<(String, u64)>,
    pub(crate) names_taken: [u64; 2],
    pub(crate) no_small_disk: Option<&'a str>,
}

const ORACLES: [What; 9] = [
    What::Lost,
    What::CommittedAhead,
    What::WronglyDeadLettered,
    What::WronglyAccepted,
    What::UnexplainedDuplicate,
    What::Lag,
    What::WorkerEnded,
    What::NotLive,
    What::NotFlat,
];

pub(crate) fn write(facts: &Facts<'_>) -> String {
    let mut text = String::new();
    match write_all(&mut text, facts) {
        Ok(()) => text,
        Err(error) => error.to_string(),
    }
}

fn write_all(text: &mut String, facts: &Facts<'_>) -> std::fmt::Result {
    head(text, facts)?;
    writeln!(
        text,
        "\n| kind of fault | injected | survived | lost | wrongly dead-lettered | duplicates | worst | recovery, median | worst |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---:|---:|")?;
    for kind in facts.kinds {
        let of_kind: Vec<_> = facts.faults.iter().filter(|fault| fault.kind == *kind).collect();
        writeln!(text, "| {kind} {}", row(&of_kind))?;
    }
    let all: Vec<_> = facts.faults.iter().collect();
    writeln!(text, "| **all** {}", row(&all))?;
    kills(text, facts)?;
    oracles(text, facts)
}

fn head(text: &mut String, facts: &Facts<'_>) -> std::fmt::Result {
    let Options { minutes, seed, replicas, rate, kinds, one_by_one, .. } = facts.options;
    let profile = if cfg!(debug_assertions) { "" } else { "--release " };
    let mut command = format!("cargo test {profile}--test campaign --");
    if let Some(minutes) = minutes {
        write!(command, " --minutes {minutes}")?;
    }
    if let Some(times) = one_by_one {
        write!(command, " --one-by-one {times}")?;
    }
    write!(command, " --seed {seed} --replicas {replicas} --rate {rate}")?;
    if !kinds.is_empty() {
        write!(command, " --kinds '{}'", kinds.join(","))?;
    }
    let (records, keys, letters) = facts.story.sizes();
    let accepted: u64 = facts.story.accepted_by_tick.iter().map(|keys| u64::from(*keys)).sum();
    writeln!(text, "`{command}`, revision {}. {}\n", facts.revision, facts.end)?;
    writeln!(
        text,
        "- {:.1} minutes, {} faults, {records} records with {keys} keys that OMS takes; {accepted} keys accepted, {letters} dead letters ({} of them written again).",
        f64::from(facts.now) / 60_000.0,
        facts.faults.iter().filter(|fault| fault.failed.is_none()).count(),
        facts.story.repeated_letters()
    )?;
    let starts: Vec<_> = facts.starts.iter().map(|(how, count)| format!("{how}: {count}")).collect();
    writeln!(text, "- Workers were started as members by {}.", starts.join("; "))?;
    let [held, taken] = facts.names_taken;
    writeln!(
        text,
        "- Static members ended with 2 at once {held} times, because Kafka held their name until the session from before their kill was over, and {taken} times because Kafka took them for another process of that name (`FencedInstanceId`)."
    )?;
    let settings: Vec<_> = SETTINGS.iter().map(|(name, value)| format!("`{name}={value}`")).collect();
    writeln!(text, "- Where the workers differ from the defaults: {}.", settings.join(", "))?;
    if !facts.sizes.is_empty() {
        let column = |what: fn(&Size) -> String| facts.sizes.iter().map(what).collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "- The first worker, never restarted, in means of {:.1} minutes: memory {} MiB; descriptors {}; threads {}.",
            f64::from(facts.sizes_span) / 60_000.0,
            column(|size| format!("{:.1}", mib(*size))),
            column(|size| size.descriptors.to_string()),
            column(|size| size.threads.to_string()),
        )?;
    }
    writeln!(
        text,
        "- Commit points were seen to go back {} times (records are read again, none is passed).",
        facts.story.went_back
    )?;
    if let Some(why) = facts.no_small_disk {
        writeln!(text, "- A broker out of disk could not be made: {why}.")?;
    }
    Ok(())
}

fn mib(size: Size) -> f64 {
    f64::from(u32::try_from(size.memory_kib).unwrap_or(u32::MAX)) / 1_024.0
}

/// The columns of some faults.
fn row(faults: &[&Injected]) -> String {
    let injected: Vec<_> = faults.iter().filter(|fault| fault.failed.is_none()).collect();
    let mut recoveries: Vec<_> = injected.iter().filter_map(|fault| fault.recovery).collect();
    recoveries.sort_unstable();
    // One whose recovery the end of writing cut short is survived too: all is settled at the end, or the judges say so.
    let survived = injected.iter().filter(|fault| fault.lost + fault.wrong_letters == 0);
    let sum = |of: fn(&Injected) -> u64| injected.iter().map(|fault| of(fault)).sum::<u64>();
    let worst = injected.iter().map(|fault| fault.duplicates).max().unwrap_or(0);
    format!(
        "| {} | {} | {} | {} | {} | {worst} | {} | {} |",
        injected.len(),
        survived.count(),
        sum(|fault| fault.lost),
        sum(|fault| fault.wrong_letters),
        sum(|fault| fault.duplicates),
        seconds(middle(&recoveries)),
        seconds(recoveries.last().copied()),
    )
}

fn middle(sorted: &[Ms]) -> Option<Ms> {
    sorted.get(sorted.len() / 2).copied()
}

fn seconds(ms: Option<Ms>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| format!("{:.1} s", f64::from(ms) / 1_000.0))
}

/// How duplicates are spread over kills that no other fault was near.
fn kills(text: &mut String, facts: &Facts<'_>) -> std::fmt::Result {
    let mut counts: Vec<_> = facts
        .faults
        .iter()
        .filter(|fault| fault.kind.starts_with("worker:") && fault.kind.contains("kill -9") && fault.failed.is_none())
        .map(|fault| fault.duplicates)
        .collect();
    counts.sort_unstable();
    let all: Vec<_> = counts.iter().map(u64::to_string).collect();
    writeln!(
        text,
        "\nKeys accepted again after each `kill -9` of a worker, sorted: {}.",
        if all.is_empty() { "-".to_owned() } else { all.join(", ") }
    )
}

fn oracles(text: &mut String, facts: &Facts<'_>) -> std::fmt::Result {
    writeln!(text, "\n| what must not be | found |\n|---|---:|")?;
    for what in ORACLES {
        writeln!(text, "| {} | {} |", what.name(), facts.story.count_of(what))?;
    }
    let failed: Vec<_> = facts.faults.iter().filter(|fault| fault.failed.is_some()).collect();
    if !failed.is_empty() {
        writeln!(text, "\nNot injected, or not healed in order:\n")?;
    }
    for fault in failed {
        writeln!(text, "- {}: {}", fault.kind, fault.failed.as_deref().unwrap_or_default())?;
    }
    if !facts.story.violations.is_empty() {
        writeln!(text, "\nWhat was found, the first of each:\n")?;
    }
    for violation in &facts.story.violations {
        writeln!(text, "- {:.1} s, {}: {}", f64::from(violation.at) / 1_000.0, violation.what.name(), violation.told)?;
    }
    Ok(())
}

/// What is checked out now.
pub(crate) fn revision() -> String {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let told = output.ok().filter(|output| output.status.success());
    told.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
