//! The records that `generate` writes, as an iterator. Pure: every byte follows from the configuration.

use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// Characters of a raw key.
const KEY_CHARS: usize = 40;

/// One object in so many has a blank in its key, one a plus sign, and one a character that is not ASCII.
const ODD_KEY_EVERY: u64 = 50;

/// 2026-01-01T00:00:00Z in seconds since the Unix epoch: the earliest event time.
const FIRST_EVENT_S: u64 = 1_767_225_600;

/// What AWS leaves as it is in a key, besides letters and digits.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The formats that can be generated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum GeneratedFormat {
    /// The worker's own record format.
    Native,
    /// S3 event notifications of AWS.
    AwsS3,
}

/// What to generate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GeneratorConfig {
    /// Format of the values.
    pub format: GeneratedFormat,
    /// How many records.
    pub records: u64,
    /// How many different objects there are, in all buckets together; at least one is taken.
    pub keys: u64,
    /// How many buckets; at least one is taken.
    pub buckets: u32,
    /// The same seed makes the same records.
    pub seed: u64,
}

/// One record to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GeneratedRecord {
    /// Kafka key: bucket, `/`, raw object key; so that all changes of an object are in one partition.
    pub key: String,
    /// Kafka value.
    pub value: String,
    /// Bucket of the object.
    pub bucket: String,
    /// Raw key of the object.
    pub object_key: String,
}

/// Makes the records one by one.
#[derive(Clone, Debug)]
pub struct Generator {
    config: GeneratorConfig,
    next: u64,
    rng: Rng,
}

/// The name of the bucket with that number, from 0.
#[must_use]
pub fn bucket_name(number: u64) -> String {
    format!("bucket-{number}")
}

impl Generator {
    /// A generator at its first record.
    #[must_use]
    pub fn new(config: GeneratorConfig) -> Self {
        let config = GeneratorConfig { keys: config.keys.max(1), buckets: config.buckets.max(1), ..config };
        Self { config, next: 0, rng: Rng::with_seed(config.seed) }
    }

    /// How many different objects all records are about.
    #[must_use]
    pub fn distinct_keys(&self) -> u64 {
        self.config.keys.min(self.config.records)
    }

    fn object_key(&self, object: u64) -> String {
        let mut rng = Rng::with_seed(self.config.seed ^ object.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let odd = match object % ODD_KEY_EVERY {
            17 => " ",
            27 => "+",
            37 => "照",
            _ => "-",
        };
        let mut key = format!("in/{:02x}/{object:012x}{odd}", rng.u8(..));
        while key.chars().count() < KEY_CHARS - ".bin".len() {
            key.push(rng.alphanumeric());
        }
        key + ".bin"
    }

    fn value(&mut self, number: u64, bucket: &str, object_key: &str) -> String {
        match self.config.format {
            GeneratedFormat::Native => native(bucket, object_key),
            GeneratedFormat::AwsS3 => self.aws_s3(number, bucket, object_key),
        }
    }

    /// About 700 bytes, as AWS sends them.
    fn aws_s3(&mut self, number: u64, bucket: &str, object_key: &str) -> String {
        let since = Duration::from_secs(FIRST_EVENT_S + self.config.seed % 86_400) + Duration::from_millis(number);
        let time = humantime::format_rfc3339_millis(UNIX_EPOCH + since);
        let key = utf8_percent_encode(object_key, &ESCAPED).to_string().replace("%20", "+");
        let (size, tag, request) = (self.rng.u32(1..), self.rng.u128(..), self.rng.u64(..));
        format!(
            concat!(
                r#"{{"Records":[{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1","#,
                r#""eventTime":"{}","eventName":"ObjectCreated:Put","#,
                r#""userIdentity":{{"principalId":"AWS:AROAEXAMPLEID:uploader"}},"#,
                r#""requestParameters":{{"sourceIPAddress":"203.0.113.17"}},"#,
                r#""responseElements":{{"x-amz-request-id":"{:016X}","x-amz-id-2":"{:032x}"}},"#,
                r#""s3":{{"s3SchemaVersion":"1.0","configurationId":"object-changes","#,
                r#""bucket":{{"name":"{}","ownerIdentity":{{"principalId":"A3EXAMPLEOWNER"}},"#,
                r#""arn":"arn:aws:s3:::{}"}},"#,
                r#""object":{{"key":"{}","size":{},"eTag":"{:032x}","sequencer":"{:018X}"}}}}}}]}}"#,
            ),
            time, request, !tag, bucket, bucket, key, size, tag, number
        )
    }
}

impl Iterator for Generator {
    type Item = GeneratedRecord;

    fn next(&mut self) -> Option<GeneratedRecord> {
        let number = self.next;
        if number >= self.config.records {
            return None;
        }
        self.next += 1;
        let object = if number < self.config.keys { number } else { self.rng.u64(..self.config.keys) };
        let bucket = bucket_name(object % u64::from(self.config.buckets));
        let object_key = self.object_key(object);
        let value = self.value(number, &bucket, &object_key);
        Some(GeneratedRecord { key: format!("{bucket}/{object_key}"), value, bucket, object_key })
    }
}

fn native(bucket: &str, key: &str) -> String {
    #[derive(Serialize)]
    struct Value<'a> {
        bucket: &'a str,
        key: &'a str,
    }
    serde_json::to_string(&Value { bucket, key }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::formats::{self, DecodeOptions, Format, Outcome};
    use crate::pipeline::record::Record;

    const CONFIG: GeneratorConfig =
        GeneratorConfig { format: GeneratedFormat::AwsS3, records: 300, keys: 100, buckets: 3, seed: 7 };

    fn all(config: GeneratorConfig) -> Vec<GeneratedRecord> {
        Generator::new(config).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_records() {
        assert_eq!(all(CONFIG), all(CONFIG));
        assert_ne!(all(CONFIG), all(GeneratorConfig { seed: 8, ..CONFIG }));
    }

    #[test]
    fn the_worker_reads_back_what_was_generated() {
        let formats = [(GeneratedFormat::Native, Format::Native), (GeneratedFormat::AwsS3, Format::AwsS3)];
        for (format, decoded) in formats {
            for generated in all(GeneratorConfig { format, ..CONFIG }) {
                let record = Record { value: Some(generated.value.into_bytes().into()), ..Record::at("t", 0, 0) };
                let changes = formats::decode(&record, &DecodeOptions::default());
                assert_eq!(changes.len(), 1);
                assert_eq!((changes[0].outcome, changes[0].format), (Outcome::Sync, Some(decoded)));
                assert_eq!(changes[0].key.as_deref(), Some(generated.object_key.as_str()));
                assert_eq!(changes[0].bucket.as_deref(), Some(generated.bucket.as_str()));
            }
        }
    }

    #[test]
    fn there_are_as_many_objects_as_asked_for() {
        let distinct = |config| all(config).into_iter().map(|record| record.key).collect::<HashSet<_>>().len();
        assert_eq!(distinct(CONFIG), 100);
        assert_eq!(Generator::new(CONFIG).distinct_keys(), 100);
        assert_eq!(distinct(GeneratorConfig { keys: 1_000, ..CONFIG }), 300);
        assert_eq!(distinct(GeneratorConfig { keys: 0, buckets: 0, ..CONFIG }), 1);
    }

    #[test]
    fn keys_have_forty_characters_and_a_fixed_share_is_odd() {
        let records = all(GeneratorConfig { keys: 300, ..CONFIG });
        assert!(records.iter().all(|record| record.object_key.chars().count() == 40));
        for odd in [' ', '+', '照'] {
            assert_eq!(records.iter().filter(|record| record.object_key.contains(odd)).count(), 6, "{odd}");
        }
    }

    #[test]
    fn an_s3_record_has_about_700_bytes() {
        assert!(all(CONFIG).iter().all(|record| (650..=750).contains(&record.value.len())));
    }
}
