//! The rebalance scheme against a real broker, under every protocol: the callback records, the loop drains, commits,
//! waits for the result and unassigns; only then does the next owner get the partition, at the commit point.

use std::collections::BTreeMap;
use std::time::Duration;

use oms_sync_worker::io::consumer::{Command, ConsumerEvent, ConsumerSettings};

use crate::brokers::{self, RealBroker, unique};
use crate::member::{Member, places};

const COOPERATIVE: &[(&str, &str)] = &[];
const EAGER: &[(&str, &str)] = &[("partition.assignment.strategy", "range")];
const CONSUMER: &[(&str, &str)] = &[("group.protocol", "consumer")];

fn settings(broker: &RealBroker, topic: &str, group: &str, properties: &[(&str, &str)]) -> ConsumerSettings {
    let mut settings = ConsumerSettings::new(&broker.servers, &[topic], group);
    settings.properties = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    settings
}

#[test]
fn a_revoked_partition_moves_after_the_commit_under_the_cooperative_protocol() {
    check_move(COOPERATIVE);
}

#[test]
fn a_revoked_partition_moves_after_the_commit_under_the_eager_protocol() {
    check_move(EAGER);
}

#[test]
fn a_revoked_partition_moves_after_the_commit_under_the_consumer_protocol() {
    check_move(CONSUMER);
}

fn check_move(protocol: &[(&str, &str)]) {
    let Some(broker) = brokers::real() else { return };
    let (topic, group) = (unique("move"), unique("group"));
    brokers::create_topic(&broker.servers, &topic, 4, &[]);
    for partition in 0..4 {
        brokers::produce(&broker.servers, &topic, partition, (0..10).map(|n| n.to_string()));
    }
    let settings = settings(broker, &topic, &group, protocol);
    let mut first = Member::join(&settings);
    first.until_owning(4);
    first.until_records(40);

    let mut second = Member::join(&settings);
    let revoked = first.until_revoked();
    assert!(revoked.len() >= 2, "{revoked:?}");

    // Nobody else has them while they are withheld.
    while second.next_within(Duration::from_secs(2)).is_some() {}
    assert!(second.owned.is_empty(), "{:?}", second.owned);

    // A commit during the revoke is accepted.
    let points: Vec<_> = revoked.iter().map(|one| (one.at.clone(), 4 + i64::from(one.at.partition))).collect();
    assert_eq!(first.commit(points), Ok(()));
    first.send(Command::Unassign(places(&revoked)));

    // The next owner starts there.
    second.until_owning(2);
    first.until_owning(2);
    let moved: Vec<_> = second.owned.values().cloned().collect();
    let records = moved.iter().map(|one| usize::try_from(10 - 4 - one.at.partition).unwrap()).sum();
    second.until_records(records);
    for one in &moved {
        let point = 4 + i64::from(one.at.partition);
        assert_eq!(one.committed, Some(point));
        assert_eq!(second.offsets(one.at.partition), (point..10).collect::<Vec<_>>());
    }
    let points = brokers::committed(&broker.servers, &group, &topic, 4);
    for one in &revoked {
        assert_eq!(points[usize::try_from(one.at.partition).unwrap()], Some(4 + i64::from(one.at.partition)));
    }

    // It comes back under another epoch.
    let before: BTreeMap<_, _> = revoked.iter().map(|one| (one.at.clone(), one.epoch)).collect();
    second.leave();
    first.until("all partitions again", |member, event| {
        if let ConsumerEvent::Revoked(old) = event {
            member.send(Command::Unassign(places(&old)));
        }
        (member.owned.len() == 4).then_some(())
    });
    for one in first.owned.values() {
        assert_ne!(before.get(&one.at), Some(&one.epoch));
    }
    first.leave();
}

#[test]
fn a_member_that_does_not_poll_is_told_its_loss_and_the_next_owner_commits() {
    let Some(broker) = brokers::real() else { return };
    let (topic, group) = (unique("lost"), unique("group"));
    brokers::create_topic(&broker.servers, &topic, 1, &[]);
    brokers::produce(&broker.servers, &topic, 0, ["a".to_owned()]);
    let limits = [("max.poll.interval.ms", "6000"), ("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")];
    let settings = settings(broker, &topic, &group, &limits);

    let (release, stuck) = std::sync::mpsc::channel::<()>();
    let mut first = Member::join_with(&settings, move |_| stuck.iter().for_each(drop));
    first.until_owning(1);
    let at = first.owned.keys().next().unwrap().clone();
    let mut second = Member::join(&settings);
    second.until_owning(1);
    drop(release);

    let lost = first.until("loss", |_, event| if let ConsumerEvent::Lost(lost) = event { Some(lost) } else { None });
    assert_eq!(lost[0].at, at);
    assert_eq!(second.commit(vec![(at.clone(), 1)]), Ok(()));
    second.leave();
    first.leave();
    assert_eq!(brokers::committed(&broker.servers, &group, &topic, 1), [Some(1)]);
}

#[test]
fn a_member_that_withholds_revoked_partitions_for_too_long_is_fenced_under_the_consumer_protocol() {
    let Some(broker) = brokers::real() else { return };
    let (topic, group) = (unique("withheld"), unique("group"));
    brokers::create_topic(&broker.servers, &topic, 2, &[]);
    let settings =
        settings(broker, &topic, &group, &[("group.protocol", "consumer"), ("max.poll.interval.ms", "6000")]);
    let mut first = Member::join(&settings);
    first.until_owning(2);
    let mut second = Member::join(&settings);
    let revoked = first.until_revoked();
    second.until_owning(2);

    // It is not told of it before it has answered the revoke; its commits are refused all the same.
    let fault = first.commit(vec![(revoked[0].at.clone(), 1)]).unwrap_err();
    assert_eq!(fault.code, "UnknownMemberId");
    let kept = first.owned.values().next().unwrap().clone();
    first.send(Command::Unassign(places(&revoked)));
    let lost = first.until("loss", |_, event| if let ConsumerEvent::Lost(lost) = event { Some(lost) } else { None });
    assert_eq!(lost, [kept]);
    assert_eq!(brokers::committed(&broker.servers, &group, &topic, 2), [None, None]);
    first.leave();
    second.leave();
}
