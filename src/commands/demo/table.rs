//! The end of the demo as a table. Prints figures and computes none but sums and means of them.

use std::fmt;

use indicatif::HumanCount;

use crate::simulator::Totals;

use super::account::Account;

/// The table: what became of the changes, and what OMS saw.
pub(super) struct Table<'a> {
    pub(super) account: &'a Account,
    pub(super) totals: &'a Totals,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { records, changes, distinct_keys, accepted, coalesced, .. } = *self.account;
        let Account { refused, undecodable, skipped, lost, duplicates, .. } = *self.account;
        let Account { wrongly_dead_lettered, wrongly_sent, .. } = *self.account;
        let totals = self.totals;
        writeln!(f, "What became of everything that was written (from OMS's ledger and Kafka, not from the worker):")?;
        for (name, figure, remark) in [
            ("records written", records, "to Kafka, confirmed"),
            ("changes written", changes, "some records hold several"),
            ("distinct keys", distinct_keys, "different objects to synchronize"),
            ("accepted", accepted, "keys in events that OMS took"),
            ("coalesced", coalesced, "repeated changes that one accepted key stands for"),
            ("dead-lettered: refused", refused, "keys that OMS refuses, each alone"),
            ("dead-lettered: undecodable", undecodable, "the record that is not JSON"),
            ("skipped", skipped, "deletes"),
            ("lost", lost, "must be 0"),
            ("duplicates", duplicates, "more than the repeats explain: at least once allows them"),
            ("wrongly dead-lettered", wrongly_dead_lettered, "must be 0"),
            ("wrongly sent", wrongly_sent, "must be 0"),
        ] {
            line(f, name, &HumanCount(figure), remark)?;
        }
        writeln!(f, "What OMS saw:")?;
        line(f, "requests", &HumanCount(totals.requests), "")?;
        line(f, "mean keys per event", &format_args!("{:.2}", mean_keys(totals)), "of at most 10")?;
        line(f, "throttled answers", &HumanCount(answers(totals, |status| status == 429)), "429")?;
        line(f, "failed answers", &HumanCount(failed(totals)), "5xx, resets and no answer at all")
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, figure: &impl fmt::Display, remark: &str) -> fmt::Result {
    let figure = figure.to_string();
    let text = format!("  {name:<28}{figure:>10}  {remark}");
    writeln!(f, "{}", text.trim_end())
}

/// Requests that were answered 5xx or not at all.
fn failed(totals: &Totals) -> u64 {
    answers(totals, |status| status >= 500) + totals.requests.saturating_sub(answers(totals, |_| true))
}

/// Answers of those statuses.
pub(super) fn answers(totals: &Totals, which: impl Fn(u16) -> bool) -> u64 {
    totals.answers.iter().filter(|(status, _)| which(**status)).map(|(_, count)| count).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a demo are far below 2^52")]
fn mean_keys(totals: &Totals) -> f64 {
    totals.accepted_keys as f64 / totals.accepted_events.max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_holds_a_name_and_its_figure_and_requests_without_an_answer_have_failed() {
        let account = Account { records: 12_345, ..Account::default() };
        let totals = Totals {
            requests: 10,
            accepted_events: 2,
            accepted_keys: 15,
            answers: BTreeMap::from([(200, 2), (400, 1), (429, 3), (503, 2)]),
            ..Totals::default()
        };
        let table = Table { account: &account, totals: &totals }.to_string();
        for (name, figure) in [
            ("records written", "12,345"),
            ("lost", "0"),
            ("mean keys per event", "7.50"),
            ("throttled answers", "3"),
            ("failed answers", "4"),
        ] {
            let line = table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            assert!(line.contains(&format!(" {figure}")), "{line}");
        }
    }
}
