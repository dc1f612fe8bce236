//! Days of keeping credentials fresh, in virtual time.

use std::time::UNIX_EPOCH;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn at(seconds: u64) -> Time {
    Time::since_start(Duration::from_secs(seconds))
}

fn keys(access: &str, secret: &str) -> Identity {
    Identity::Keys(Credentials::new(access, secret, None).unwrap())
}

fn read(identity: Identity, whole: bool) -> Obtained {
    Obtained { identity, expiry: None, whole, skew: None }
}

fn temporary(identity: Identity, left: Duration) -> Obtained {
    Obtained { expiry: Some(Expiry { at: UNIX_EPOCH, left }), ..read(identity, true) }
}

fn random() -> fastrand::Rng {
    fastrand::Rng::with_seed(7)
}

fn is_offer(news: Option<&News>) -> bool {
    matches!(news, Some(News::Offered(_)))
}

/// A directory whose content is told second by second; when which credentials were taken.
fn taken(whole: bool, content: impl Fn(u64) -> Option<(&'static str, &'static str)>) -> Vec<(u64, String)> {
    let (mut keeper, mut random, mut taken) = (Keeper::new(at(0)), random(), Vec::new());
    for second in 0..200 {
        if !keeper.is_due(at(second)) {
            continue;
        }
        let news = if let Some((access, secret)) = content(second) {
            keeper.obtained(read(keys(access, secret), whole), true, at(second), &mut random)
        } else {
            let error = SourceError::Unavailable("empty".to_owned());
            keeper.failed(&error, true, at(second), &mut random)
        };
        if let Some(News::Offered(Identity::Keys(it))) = news {
            taken.push((second, format!("{}{}", it.access_key(), it.secret_key())));
        }
    }
    taken
}

#[test]
fn a_swap_of_all_files_at_once_is_taken_at_the_next_look() {
    let found = taken(true, |second| Some(if second < 52 { ("A", "a") } else { ("B", "b") }));
    assert_eq!(found, [(0, "Aa".to_owned()), (55, "Bb".to_owned())]);
}

#[test]
fn a_pair_that_is_written_file_by_file_is_taken_once_both_are_new() {
    let content = |second| Some(if second < 52 { ("A", "a") } else { ("B", if second < 71 { "a" } else { "b" }) });
    let found = taken(false, content);
    assert_eq!(found, [(0, "Aa".to_owned()), (80, "Bb".to_owned())], "never the new key with the old secret");
}

#[test]
fn files_that_are_empty_for_a_while_leave_the_old_keys_in_use() {
    let content = |second| match second {
        0..50 => Some(("A", "a")),
        50..90 => None,
        _ => Some(("B", "b")),
    };
    assert_eq!(taken(false, content), [(0, "Aa".to_owned()), (95, "Bb".to_owned())]);
}

#[test]
fn a_change_of_one_part_alone_is_taken_after_half_a_minute() {
    let found = taken(false, |second| Some(("A", if second < 52 { "typo" } else { "right" })));
    assert_eq!(found, [(0, "Atypo".to_owned()), (85, "Aright".to_owned())]);
}

#[test]
fn temporary_credentials_are_renewed_well_before_they_end_and_not_by_all_at_once() {
    for left in [Duration::from_mins(15), HOUR, 24 * HOUR] {
        let mut waits = Vec::new();
        for seed in 0..50 {
            let (mut keeper, mut random) = (Keeper::new(at(0)), fastrand::Rng::with_seed(seed));
            assert!(is_offer(keeper.obtained(temporary(keys("A", "a"), left), false, at(0), &mut random).as_ref()));
            waits.push(keeper.next().since(at(0)));
        }
        let (first, last) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
        assert!(first >= left / 2 && last <= left.mul_f64(0.67), "{first:?} {last:?} of {left:?}");
        assert!(last > first + left / 10, "spread: {first:?} {last:?}");
    }
}

#[test]
fn a_source_that_gives_the_same_again_is_asked_ever_sooner_but_not_all_the_time() {
    let (mut keeper, mut random) = (Keeper::new(at(0)), random());
    let end = at(24 * 3600);
    let (mut now, mut questions) = (at(0), 0);
    while now < end {
        let news = keeper.obtained(temporary(keys("A", "a"), end.since(now)), false, now, &mut random);
        assert_eq!(is_offer(news.as_ref()), questions == 0);
        questions += 1;
        now = keeper.next();
    }
    assert!((8..40).contains(&questions), "{questions}");
    assert!(matches!(keeper.expire(end), Some(News::Missing(why)) if why.contains("expired")));
    assert!(keeper.expire(end).is_none(), "told once");
}

#[test]
fn an_outage_of_the_source_is_told_once_and_the_credentials_last_to_their_end() {
    let (mut keeper, mut random) = (Keeper::new(at(0)), random());
    keeper.obtained(temporary(keys("A", "a"), HOUR), false, at(0), &mut random);
    let error = SourceError::Unavailable("no answer in time".to_owned());
    let (mut now, mut told, mut questions) = (keeper.next(), Vec::new(), 0);
    while now < at(2 * 3600) {
        told.extend(keeper.expire(now));
        if keeper.is_due(now) {
            told.extend(keeper.failed(&error, false, now, &mut random));
            questions += 1;
        }
        assert!(keeper.next() > now);
        now = keeper.next();
    }
    assert!(
        matches!(&told[..], [News::Problem(_), News::Missing(why)] if why.contains("no answer in time")),
        "{told:?}"
    );
    assert!((60..180).contains(&questions), "about once a minute: {questions}");
    let back = keeper.obtained(temporary(keys("B", "b"), HOUR), false, now, &mut random);
    assert!(is_offer(back.as_ref()) && keeper.next() > now.after(HOUR / 3));
}

#[test]
fn a_refused_password_is_tried_three_times_in_a_quarter_of_an_hour_at_most() {
    let (mut keeper, mut random) = (Keeper::new(at(0)), random());
    let error = SourceError::Refused("answered 401".to_owned());
    let (mut now, mut tries) = (at(0), Vec::new());
    while now < at(24 * 3600) {
        keeper.failed(&error, false, now, &mut random);
        tries.push(now);
        keeper.hurry(now); // whatever OMS says
        now = keeper.next();
    }
    assert!(tries.windows(4).all(|four| four[3].since(four[0]) > Duration::from_mins(15)), "{tries:?}");
    assert!(tries.len() > 20, "it goes on: {}", tries.len());
}

#[test]
fn when_oms_refuses_the_credentials_the_source_is_asked_soon_but_twice_a_minute_at_most() {
    let (mut keeper, mut random) = (Keeper::new(at(0)), random());
    keeper.obtained(temporary(keys("A", "a"), 24 * HOUR), false, at(0), &mut random);
    keeper.hurry(at(10));
    assert_eq!(keeper.next(), at(30));
    keeper.obtained(temporary(keys("B", "b"), 24 * HOUR), false, at(30), &mut random);
    keeper.hurry(at(600));
    assert_eq!(keeper.next(), at(600));
}
