//! From a record's bytes to the bodies of events: typed parse, recode, route, group by ten.

use anyhow::Context as _;
use bytes::Bytes;
use percent_encoding::{percent_decode_str, percent_encode_byte};
use rustc_hash::FxHashMap;

use super::cost::Cost;
use super::notification::Notification;
use super::source::Source;
use super::{Args, Route};

/// Keys of an event.
pub(super) const KEYS: usize = 10;
const HEAD: &[u8] = br#"{"object_keys":["#;

impl<'a> Notification<'a> {
    pub(super) fn parse(value: &'a [u8]) -> anyhow::Result<Self> {
        serde_json::from_str(std::str::from_utf8(value)?).context("a record is no S3 notification")
    }

    /// Bucket and form-encoded key of what was created.
    pub(super) fn created(&self) -> impl Iterator<Item = (&str, &str)> {
        let created = self.records.iter().filter(|record| record.event_name.contains("ObjectCreated:"));
        created.map(|record| (&*record.s3.bucket.name, &*record.s3.object.key))
    }
}

/// A full event, or the last of its task.
pub(super) struct Event {
    /// Index of the route, and of the task.
    pub(super) task: usize,
    pub(super) body: Bytes,
    pub(super) keys: usize,
}

/// The open event of each task.
pub(super) struct Groups {
    routes: FxHashMap<Box<str>, usize>,
    open: Vec<(Vec<u8>, usize)>,
}

impl Groups {
    pub(super) fn new(routes: &[Route]) -> Self {
        let by_bucket = routes.iter().enumerate().map(|(ix, route)| (route.bucket.as_str().into(), ix)).collect();
        Self { routes: by_bucket, open: routes.iter().map(|_| (HEAD.to_vec(), 0)).collect() }
    }

    /// Adds a key; the event that it fills.
    pub(super) fn add(&mut self, bucket: &str, key: &str) -> anyhow::Result<Option<Event>> {
        let task = *self.routes.get(bucket).with_context(|| format!("no route for bucket {bucket}"))?;
        let (body, keys) = &mut self.open[task];
        body.extend_from_slice(if *keys == 0 { b"\"" } else { b",\"" });
        recode(key, body);
        body.push(b'"');
        *keys += 1;
        Ok((*keys == KEYS).then(|| self.take(task)))
    }

    /// The events that are not full.
    pub(super) fn rest(&mut self) -> Vec<Event> {
        (0..self.open.len())
            .filter(|task| self.open[*task].1 > 0)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|task| self.take(task))
            .collect()
    }

    fn take(&mut self, task: usize) -> Event {
        let (open, keys) = &mut self.open[task];
        let mut next = Vec::with_capacity(open.capacity());
        next.extend_from_slice(HEAD);
        let mut body = std::mem::replace(open, next);
        body.extend_from_slice(b"]}");
        Event { task, body: body.into(), keys: std::mem::take(keys) }
    }
}

/// From form-encoded, as the producer wrote it, to percent-encoded, as OMS wants it.
fn recode(key: &str, out: &mut Vec<u8>) {
    for (at, part) in key.split('+').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"%20");
        }
        for byte in percent_decode_str(part) {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
                _ => out.extend_from_slice(percent_encode_byte(byte).as_bytes()),
            }
        }
    }
}

/// `parse` alone.
pub(super) fn parse_alone(args: &Args) -> anyhow::Result<Cost> {
    let values = Source::sample(args)?;
    let mut failed = None;
    let cost = Cost::of_repeating(|| {
        let mut keys = 0;
        for value in &values {
            match Notification::parse(value) {
                Ok(parsed) => keys += parsed.created().count(),
                Err(error) => failed = Some(error),
            }
        }
        (keys, 0)
    });
    failed.map_or(Ok(cost), Err)
}

/// `group` alone.
pub(super) fn group_alone(args: &Args, routes: &[Route]) -> anyhow::Result<Cost> {
    let values = Source::sample(args)?;
    let parsed = values.iter().map(|value| Notification::parse(value)).collect::<Result<Vec<_>, _>>()?;
    let mut groups = Groups::new(routes);
    let mut failed = None;
    let cost = Cost::of_repeating(|| {
        let (mut keys, mut events) = (0, 0);
        for (bucket, key) in parsed.iter().flat_map(Notification::created) {
            keys += 1;
            match groups.add(bucket, key) {
                Ok(event) => events += usize::from(std::hint::black_box(event).is_some()),
                Err(error) => failed = Some(error),
            }
        }
        (keys, events)
    });
    failed.map_or(Ok(cost), Err)
}

/// The events of the first records, for the parts that come after this one.
pub(super) fn sample(args: &Args, routes: &[Route]) -> anyhow::Result<Vec<Event>> {
    let values = Source::sample(args)?;
    let mut groups = Groups::new(routes);
    let mut events = Vec::new();
    for value in &values {
        for (bucket, key) in Notification::parse(value)?.created() {
            events.extend(groups.add(bucket, key)?);
        }
    }
    events.extend(groups.rest());
    Ok(events)
}
