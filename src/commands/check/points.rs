//! Where the group stands in a topic: commit points, lag, and what happens where there are none or they are gone. Pure.

use super::finding::Finding;
use crate::config::OffsetPolicy;

/// A partition, as the brokers tell of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Point {
    pub(super) partition: i32,
    /// The group's commit point.
    pub(super) committed: Option<i64>,
    /// Offset of the oldest record.
    pub(super) first: i64,
    /// Offset behind the newest record.
    pub(super) end: i64,
}

impl Point {
    fn records(self) -> i64 {
        self.end - self.first
    }

    fn is_gone(self) -> bool {
        self.committed.is_some_and(|point| point < self.first || point > self.end)
    }
}

/// What the worker would do in this topic. `unknown`: partitions that could not be looked at in time.
pub(super) fn assess(
    topic: &str,
    points: &[Point],
    unknown: usize,
    start: OffsetPolicy,
    gone: OffsetPolicy,
) -> Finding {
    let check = format!("commit points of {topic}");
    let new: Vec<_> = points.iter().filter(|it| it.committed.is_none()).copied().collect();
    let lost: Vec<_> = points.iter().filter(|it| it.is_gone()).copied().collect();
    let lag: i64 = points.iter().filter(|it| !it.is_gone()).filter_map(|it| Some(it.end - it.committed?)).sum();
    let known = points.len() - new.len();
    let mut seen = vec![match (known, new.len()) {
        (0, _) => "none: the group is new here".to_owned(),
        (_, 0) => format!("in all {known} partitions, lag {lag}"),
        (_, without) => format!("in {known} partitions, lag {lag}; {without} have none"),
    }];
    if !new.is_empty() {
        seen.push(beginning("kafka.start_from", start, &new));
    }
    if !lost.is_empty() {
        let names: Vec<_> = lost.iter().map(|it| it.partition.to_string()).collect();
        seen.push(format!("out of range in partition {}", names.join(", ")));
        seen.push(beginning("kafka.out_of_range", gone, &lost));
    }
    if unknown > 0 {
        seen.push(format!("{unknown} partitions were not looked at in time"));
    }
    let seen = seen.join("; ");
    if (!new.is_empty() && start == OffsetPolicy::Fail) || (!lost.is_empty() && gone == OffsetPolicy::Fail) {
        let remedy =
            "write earliest or latest, or set the group's offsets with kafka-consumer-groups.sh --reset-offsets";
        return Finding::failed(check, seen, remedy);
    }
    if !lost.is_empty() {
        let remedy = "records may have been removed before they were read: see whether retention is long enough";
        return Finding::warning(check, seen, remedy);
    }
    Finding::ok(check, seen)
}

/// What a policy means for these partitions.
fn beginning(name: &str, policy: OffsetPolicy, points: &[Point]) -> String {
    let records: i64 = points.iter().map(|it| it.records()).sum();
    match policy {
        OffsetPolicy::Earliest | OffsetPolicy::Latest if records == 0 => "there are no records yet".to_owned(),
        OffsetPolicy::Earliest => format!("{name}: earliest begins with the oldest of about {records} records"),
        OffsetPolicy::Latest => format!("{name}: latest passes over about {records} records"),
        OffsetPolicy::Fail => format!("{name}: fail ends the worker"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use OffsetPolicy::{Earliest, Fail, Latest};

    fn point(partition: i32, committed: Option<i64>) -> Point {
        Point { partition, committed, first: 10, end: 30 }
    }

    #[track_caller]
    fn check(points: &[Point], policies: (OffsetPolicy, OffsetPolicy), state: State, told: &str) {
        let found = assess("t", points, 0, policies.0, policies.1);
        assert_eq!((found.state, found.seen.as_str()), (state, told));
    }

    #[test]
    fn a_group_with_commit_points_has_a_lag() {
        let points = [point(0, Some(10)), point(1, Some(30)), point(2, Some(25))];
        check(&points, (Fail, Fail), State::Ok, "in all 3 partitions, lag 25");
    }

    #[test]
    fn a_new_group_begins_as_the_configuration_says() {
        let points = [point(0, None), point(1, None)];
        let told = "none: the group is new here; kafka.start_from: ";
        let earliest = format!("{told}earliest begins with the oldest of about 40 records");
        check(&points, (Earliest, Fail), State::Ok, &earliest);
        check(&points, (Latest, Fail), State::Ok, &format!("{told}latest passes over about 40 records"));
        check(&points, (Fail, Earliest), State::Failed, &format!("{told}fail ends the worker"));
    }

    #[test]
    fn a_commit_point_outside_the_partition_is_a_warning_or_ends_the_worker() {
        for out in [9, 31] {
            let points = [point(0, Some(20)), point(1, Some(out))];
            let told = "in all 2 partitions, lag 10; out of range in partition 1; kafka.out_of_range: ";
            let earliest = format!("{told}earliest begins with the oldest of about 20 records");
            check(&points, (Earliest, Earliest), State::Warning, &earliest);
            check(&points, (Earliest, Fail), State::Failed, &format!("{told}fail ends the worker"));
        }
    }

    #[test]
    fn a_partition_without_a_commit_point_beside_others_is_told() {
        let told = "in 1 partitions, lag 10; 1 have none; kafka.start_from: latest passes over about 20 records";
        check(&[point(0, Some(20)), point(1, None)], (Latest, Fail), State::Ok, told);
    }
}
