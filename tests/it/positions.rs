//! Where partitions start and end: commit points, start policies, control records.

use std::time::Duration;

use oms_sync_worker::io::consumer::{Command, ConsumerEvent, ConsumerSettings, MissingOffset};

use crate::brokers::{self, unique};
use crate::consumer::{count, mock};
use crate::member::Member;

#[test]
fn the_end_counts_control_records_and_never_passes_an_undelivered_record() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("ends");
    brokers::create_topic(&broker.servers, &topic, 3, &[]);
    let servers = &broker.servers;
    brokers::transact(servers, &topic, 0, &["a", "b"], true); // records 0 and 1, control record 2
    brokers::produce(servers, &topic, 1, count(0, 3));
    brokers::transact(servers, &topic, 1, &["x", "y"], false); // 3 and 4 aborted, control record 5
    let mut settings = ConsumerSettings::new(servers, &[&topic], &unique("group"));
    settings.statistics_interval = Duration::from_millis(200);
    let mut member = Member::join(&settings);
    let mut ends = [None; 3];
    let mut marks = [None; 3];
    member.until("ends", |member, event| {
        match event {
            ConsumerEvent::Ended { at, epoch, offset } => {
                assert_eq!(member.owned[&at].epoch, epoch);
                let delivered = member.offsets(at.partition).len();
                assert_eq!(
                    delivered,
                    [2, 3, 0][usize::try_from(at.partition).unwrap()],
                    "{at} ended before its records"
                );
                ends[usize::try_from(at.partition).unwrap()] = Some(offset);
            }
            ConsumerEvent::Watermarks(all) => {
                for (at, mark) in all {
                    marks[usize::try_from(at.partition).unwrap()] = Some(mark);
                }
            }
            _ => {}
        }
        (ends == [Some(3), Some(6), Some(0)] && marks == ends).then_some(())
    });
    let broker_ends: Vec<i64> = (0..3).map(|partition| brokers::end_offset(servers, &topic, partition)).collect();
    assert_eq!(broker_ends, [3, 6, 0]);

    // The same after a pause, which makes the fetcher begin anew.
    let at = member.owned.keys().next().unwrap().clone();
    member.send(Command::Pause(vec![at.clone()]));
    brokers::transact(servers, &topic, 0, &["c"], true); // 3, control record 4
    let mut looks = 0;
    member.until("looks at the end while paused", |_, event| {
        assert!(!matches!(event, ConsumerEvent::Ended { .. }), "{event:?}");
        looks += usize::from(matches!(event, ConsumerEvent::Watermarks(_)));
        (looks == 5).then_some(())
    });
    assert_eq!(member.offsets(0), [0, 1]);
    member.send(Command::Resume(vec![at]));
    let offset = member.until("end after a pause", |_, event| {
        if let ConsumerEvent::Ended { offset, .. } = event { Some(offset) } else { None }
    });
    assert_eq!((offset, member.offsets(0)), (5, vec![0, 1, 3]));
    member.leave();
}

#[test]
fn without_a_commit_point_start_from_decides_and_with_one_it_does_not() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("start");
    brokers::create_topic(&broker.servers, &topic, 1, &[]);
    brokers::produce(&broker.servers, &topic, 0, count(0, 10));
    for (start_from, expected) in [(MissingOffset::Earliest, 0), (MissingOffset::Latest, 10)] {
        let mut settings = ConsumerSettings::new(&broker.servers, &[&topic], &unique("group"));
        settings.start_from = start_from;
        settings.statistics_interval = Duration::from_millis(200);
        let mut member = Member::join(&settings);
        member.until_owning(1);
        let at = member.owned.keys().next().unwrap().clone();
        assert_eq!(member.owned[&at].committed, None);
        if start_from == MissingOffset::Latest {
            // The end that is told fixes the position, so that it can be committed before any record comes.
            let end = |_: &Member, event| {
                if let ConsumerEvent::Ended { offset, .. } = event { Some(offset) } else { None }
            };
            assert_eq!(member.until("end", end), 10);
        } else {
            member.until_records(10);
        }
        assert_eq!(member.offsets(0), (expected..10).collect::<Vec<_>>());
        assert_eq!(member.commit(vec![(at, 7)]), Ok(()));
        member.leave();
        let mut again = Member::join(&settings);
        again.until_records(3);
        assert_eq!(again.offsets(0), [7, 8, 9]);
        again.leave();
    }
}

#[test]
fn start_from_fail_ends_the_consumer_with_what_to_do() {
    let (_broker, mut settings) = mock(1);
    settings.start_from = MissingOffset::Fail;
    let mut member = Member::join(&settings);
    let (fault, fatal) = member.until_fault("NoCommitPoint");
    assert!(fatal);
    assert!(fault.text.contains("t[0]") && fault.text.contains("kafka.start_from"), "{fault}");
    member.leave();
}

#[test]
fn a_commit_point_that_retention_passed_follows_out_of_range() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("range");
    brokers::create_topic(&broker.servers, &topic, 1, &[]);
    brokers::produce(&broker.servers, &topic, 0, count(0, 10));
    let mut settings = ConsumerSettings::new(&broker.servers, &[&topic], &unique("group"));
    settings.start_from = MissingOffset::Latest;
    let mut member = Member::join(&settings);
    member.until_owning(1);
    let at = member.owned.keys().next().unwrap().clone();
    assert_eq!(member.commit(vec![(at, 2)]), Ok(()));
    member.leave();
    brokers::delete_records(&broker.servers, &topic, 0, 5);

    settings.out_of_range = MissingOffset::Earliest;
    let mut member = Member::join(&settings);
    member.until_records(5);
    assert_eq!(member.offsets(0), (5..10).collect::<Vec<_>>());
    member.leave();

    settings.out_of_range = MissingOffset::Fail;
    let mut member = Member::join(&settings);
    assert!(member.until_fault("AutoOffsetReset").1, "fatal");
    member.leave();
}
