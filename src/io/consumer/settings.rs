//! The consumer's settings and what librdkafka is told. Never reads configuration files or the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;

/// How often the client tells how it is doing: ends of partitions, lag, whether it delivers.
pub const STATISTICS_INTERVAL: Duration = Duration::from_secs(5);
/// librdkafka's default of the property `socket.timeout.ms`.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// After which a request to a broker has failed, with these properties of the user.
#[must_use]
pub fn request_timeout(properties: &BTreeMap<String, String>) -> Duration {
    let given = properties.get("socket.timeout.ms").and_then(|ms| ms.parse().ok());
    given.map_or(DEFAULT_REQUEST_TIMEOUT, Duration::from_millis)
}

/// What to do where there is no offset to read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MissingOffset {
    /// Read from the oldest record.
    #[default]
    Earliest,
    /// Read what comes from now on.
    Latest,
    /// Stop with a fatal error.
    Fail,
}

/// What a consumer is made of.
#[derive(Clone, Debug)]
pub struct ConsumerSettings {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// Topics to subscribe to, at least one.
    pub topics: Vec<String>,
    /// Consumer group.
    pub group_id: String,
    /// How this client names itself to the brokers.
    pub client_id: String,
    /// Where a partition starts for which the group has no commit point.
    pub start_from: MissingOffset,
    /// Where a partition starts whose commit point the broker no longer has.
    pub out_of_range: MissingOffset,
    /// How often ends of partitions, lag and delivery are looked at; each time costs a walk over all partitions.
    pub statistics_interval: Duration,
    /// librdkafka properties of the user: over the defaults here, but not over what the worker owns.
    pub properties: BTreeMap<String, String>,
}

impl ConsumerSettings {
    /// Defaults for all but the addresses.
    #[must_use]
    pub fn new(brokers: &str, topics: &[&str], group_id: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            group_id: group_id.to_owned(),
            client_id: "oms-sync-worker".to_owned(),
            start_from: MissingOffset::default(),
            out_of_range: MissingOffset::default(),
            statistics_interval: STATISTICS_INTERVAL,
            properties: BTreeMap::new(),
        }
    }

    /// Whether only committed transactions are read, so that a partition ends at its last stable offset.
    pub(super) fn reads_committed(&self) -> bool {
        self.properties.get("isolation.level").is_none_or(|level| level != "read_uncommitted")
    }

    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        for (name, value) in TUNING {
            config.set(name, value);
        }
        // The broker chooses the strategy with the newer protocol; naming one is an error there.
        if self.properties.get("group.protocol").is_none_or(|protocol| protocol != "consumer") {
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        for (name, value) in OWNED {
            config.set(name, value);
        }
        config.set("group.id", &self.group_id);
        config.set("auto.offset.reset", self.reset_policy());
        config.set("statistics.interval.ms", self.statistics_interval.as_millis().to_string());
        config
    }

    /// Start offsets are set at assignment, so librdkafka's one policy is free for what is out of range.
    fn reset_policy(&self) -> &'static str {
        match self.out_of_range {
            MissingOffset::Earliest => "earliest",
            MissingOffset::Latest => "latest",
            MissingOffset::Fail => "error",
        }
    }
}

/// Little memory at the same CPU; quick to notice a broker that came back.
const TUNING: [(&str, &str); 10] = [
    ("isolation.level", "read_committed"),
    ("queued.min.messages", "10000"),
    ("queued.max.messages.kbytes", "1024"),
    ("fetch.max.bytes", "1048576"),
    ("fetch.message.max.bytes", "262144"),
    ("fetch.queue.backoff.ms", "20"), // its default of 1 s lets the small queue through no more than once a second
    ("fetch.wait.max.ms", "100"),     // with 500 a backlog stood still for so long now and then
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "5000"),
    ("topic.metadata.refresh.interval.ms", "60000"),
];

/// What the promises stand on.
const OWNED: [(&str, &str); 3] =
    [("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"), ("enable.partition.eof", "true")];

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> ClientConfig {
        let mut settings = ConsumerSettings::new("127.0.0.1:9092", &["t"], "g");
        settings.properties = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        settings.client_config()
    }

    #[test]
    fn users_properties_win_over_tuning_but_not_over_what_the_worker_owns() {
        let config = settings(&[("queued.min.messages", "7"), ("enable.auto.commit", "true"), ("group.id", "other")]);
        assert_eq!(config.get("queued.min.messages"), Some("7"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("group.id"), Some("g"));
    }

    #[test]
    fn the_newer_group_protocol_gets_no_assignment_strategy() {
        assert_eq!(settings(&[]).get("partition.assignment.strategy"), Some("cooperative-sticky"));
        assert_eq!(settings(&[("group.protocol", "consumer")]).get("partition.assignment.strategy"), None);
    }

    #[test]
    fn librdkafka_accepts_the_settings_of_both_protocols() {
        for properties in [&[][..], &[("group.protocol", "consumer")]] {
            settings(properties).create_native_config().unwrap();
        }
    }
}
