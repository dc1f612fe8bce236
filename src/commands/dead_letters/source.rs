//! The record that a dead letter is about, read from where it stood: for letters that were too large to keep its value.
//! Takes no other record for it, and commits no offset.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Deserialize;

use super::place::{ANSWER_TIMEOUT, Place};
use crate::commands::printable::printable;
use crate::io::consumer::copy;
use crate::pipeline::record::Record;

/// Longest wait for one thing that the client tells.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// Where a record stood: the value of a letter that does not keep the record's own.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
struct Reference {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
}

/// Reads source records; the last one is kept, since letters come in parts.
#[derive(Debug, Default)]
pub(super) struct Sources {
    last: Option<(Reference, Result<Record, String>)>,
}

impl Sources {
    /// The record that the letter is about, or why it is not to be had.
    pub(super) fn fetch(&mut self, place: &Place, letter: &Record) -> Result<Record, String> {
        let value = letter.value.as_deref().unwrap_or_default();
        let reference: Reference = serde_json::from_slice(value).map_err(|_| {
            "its record was too large to be kept, and its value does not say where that stood".to_owned()
        })?;
        if let Some((_, found)) = self.last.as_ref().filter(|(last, _)| *last == reference) {
            return found.clone();
        }
        let found = read(place, &reference).map_err(|why| {
            let Reference { topic, partition, offset, .. } = &reference;
            let at = printable(&format!("{topic}[{partition}]@{offset}"));
            format!("its record was too large to be kept, and {at} cannot be read: {why}; write it again at its source")
        });
        self.last = Some((reference, found.clone()));
        found
    }
}

fn read(place: &Place, at: &Reference) -> Result<Record, String> {
    let failed = |error: KafkaError| error.to_string();
    let consumer: BaseConsumer = place.consumer().map_err(|error| format!("{error:#}"))?;
    let (low, high) = consumer.fetch_watermarks(&at.topic, at.partition, ANSWER_TIMEOUT).map_err(failed)?;
    if !(low..high).contains(&at.offset) {
        return Err(format!("the partition holds {low} to {high}"));
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&at.topic, at.partition, Offset::Offset(at.offset)).map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    let mut why = format!("no answer in {ANSWER_TIMEOUT:?}");
    for _ in 0..ANSWER_TIMEOUT.as_millis() / POLL_TIMEOUT.as_millis() {
        match consumer.poll(POLL_TIMEOUT) {
            Some(Ok(message)) => return right(copy(&message, Arc::from(at.topic.as_str())), at),
            Some(Err(KafkaError::PartitionEOF(_))) => return Err("there is no record any more".to_owned()),
            Some(Err(error)) => why = error.to_string(),
            None => {}
        }
    }
    Err(why)
}

/// Another record has come to its place where the topic was made anew or is compacted.
fn right(found: Record, at: &Reference) -> Result<Record, String> {
    if (found.offset, found.timestamp_ms) == (at.offset, at.timestamp_ms) {
        return Ok(found);
    }
    Err("another record is there now".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_record_is_taken() {
        let at = Reference { topic: "t".into(), partition: 0, offset: 4, timestamp_ms: Some(9) };
        let record = |offset, timestamp_ms| Record { timestamp_ms, ..Record::at("t", 0, offset) };
        assert!(right(record(4, Some(9)), &at).is_ok());
        assert!(right(record(5, Some(9)), &at).is_err() && right(record(4, Some(8)), &at).is_err());
    }
}
