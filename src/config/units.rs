//! Durations and sizes as people write them: always with a unit, never a bare number.

/// `#[serde(with = "duration")]` for [`std::time::Duration`]: `200ms`, `30s`, `1h 5m`.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(text.trim())
            .map_err(|why| D::Error::custom(format_args!("{text:?} is not a duration with a unit: {why}")))
    }

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }
}

/// `#[serde(with = "size")]` for a number of bytes: `24MiB`, `64 KB`.
pub(crate) mod size {
    use bytesize::ByteSize;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const STEPS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = || D::Error::custom(format_args!("{text:?} is not a size with a unit"));
        if !text.trim_end().ends_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(refuse());
        }
        text.trim().parse::<ByteSize>().map(|size| size.as_u64()).map_err(|_| refuse())
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        let (step, unit) = STEPS.into_iter().find(|(step, _)| value.is_multiple_of(*step)).unwrap_or((1, "B"));
        serializer.collect_str(&format_args!("{}{unit}", value / step))
    }
}

/// How a duration or a size looks in the schema.
pub(crate) mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    /// Stands for a duration: `#[schemars(with = "DurationText")]`.
    pub(crate) struct DurationText;

    /// Stands for a size: `#[schemars(with = "SizeText")]`.
    pub(crate) struct SizeText;

    impl JsonSchema for DurationText {
        fn schema_name() -> Cow<'static, str> {
            "Duration".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "pattern": "^[0-9].*[a-zA-Z]$", "examples": ["200ms", "30s", "5m"] })
        }
    }

    impl JsonSchema for SizeText {
        fn schema_name() -> Cow<'static, str> {
            "Size".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "pattern": "^[0-9].*[a-zA-Z]$", "examples": ["64MiB", "512KiB"] })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super::duration")]
        wait: Duration,
        #[serde(with = "super::size")]
        room: u64,
    }

    fn parse(wait: &str, room: &str) -> Result<Both, serde_json::Error> {
        serde_json::from_value(serde_json::json!({ "wait": wait, "room": room }))
    }

    #[test]
    fn units_are_read_and_written_alike() {
        for (wait, room) in [("200ms", "24MiB"), ("5m", "1GiB"), ("30s", "1000B")] {
            let both = parse(wait, room).unwrap();
            assert_eq!(serde_json::to_value(&both).unwrap(), serde_json::json!({ "wait": wait, "room": room }));
        }
        let both = parse("1h 5m", "2 MB").unwrap();
        assert_eq!((both.wait, both.room), (Duration::from_mins(65), 2_000_000));
    }

    #[test]
    fn a_bare_number_is_refused() {
        assert!(parse("200", "24MiB").is_err());
        assert!(parse("200ms", "24").is_err());
        assert!(parse("200ms", "-1MiB").is_err());
    }
}
