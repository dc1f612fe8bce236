//! What an error of the Kafka client says, for people and for metrics. Decides nothing.

use rdkafka::error::KafkaError;

/// What an error of Kafka says.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text} ({code})")]
pub struct Fault {
    /// A name as librdkafka writes it, such as `RebalanceInProgress`: bounded, fit for a metric's label.
    pub code: String,
    /// For people.
    pub text: String,
}

impl Fault {
    /// Takes over an error of the client, with the reason that came with it where there is one.
    pub(crate) fn new(error: &KafkaError, reason: Option<String>) -> Self {
        let code = error.rdkafka_error_code().map_or_else(|| "Client".to_owned(), |code| format!("{code:?}"));
        Self { code, text: reason.filter(|text| !text.is_empty()).unwrap_or_else(|| error.to_string()) }
    }
}
