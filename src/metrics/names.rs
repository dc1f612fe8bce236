//! The names of all metrics, in the order of the documentation. A contract: add, never rename.

/// Counter; topic.
pub const RECORDS_CONSUMED: &str = "oms_sync_records_consumed_total";
/// Counter; topic.
pub const RECORDS_GONE: &str = "oms_sync_records_gone_total";
/// Counter; topic, outcome.
pub const RECORDS_SETTLED: &str = "oms_sync_records_settled_total";
/// Counter; format, action, reason.
pub const CHANGES: &str = "oms_sync_changes_total";
/// Counter; task.
pub const CHANGES_COALESCED: &str = "oms_sync_changes_coalesced_total";
/// Counter; task.
pub const KEYS_ACCEPTED: &str = "oms_sync_keys_accepted_total";
/// Counter; task.
pub const KEYS_DEAD_LETTERED: &str = "oms_sync_keys_dead_lettered_total";
/// Counter; task, verdict, status.
pub const SUBMISSIONS: &str = "oms_sync_submissions_total";
/// Histogram, seconds; verdict.
pub const SUBMISSION_DURATION: &str = "oms_sync_submission_duration_seconds";
/// Histogram of keys.
pub const EVENT_KEYS: &str = "oms_sync_event_keys";
/// Histogram, seconds.
pub const RECORD_TO_ACCEPTED: &str = "oms_sync_record_to_accepted_seconds";
/// Gauge; task.
pub const PENDING_KEYS: &str = "oms_sync_pending_keys";
/// Gauge; task.
pub const IN_FLIGHT_SUBMISSIONS: &str = "oms_sync_in_flight_submissions";
/// Gauge, seconds; task.
pub const OLDEST_PENDING: &str = "oms_sync_oldest_pending_seconds";
/// Gauge; task.
pub const CONCURRENCY_LIMIT: &str = "oms_sync_concurrency_limit";
/// Gauge, requests a second; no series while there is no limit.
pub const PACED_REQUESTS: &str = "oms_sync_paced_requests_per_second";
/// Gauge.
pub const UNSETTLED_CHANGES: &str = "oms_sync_unsettled_changes";
/// Gauge, bytes.
pub const UNSETTLED_BYTES: &str = "oms_sync_unsettled_bytes";
/// Gauge.
pub const UNSETTLED_CHANGES_LIMIT: &str = "oms_sync_unsettled_changes_limit";
/// Gauge, bytes.
pub const UNSETTLED_BYTES_LIMIT: &str = "oms_sync_unsettled_bytes_limit";
/// Counter; topic, reason.
pub const DEAD_LETTERS: &str = "oms_sync_dead_letters_total";
/// Counter.
pub const DEAD_LETTER_FAILURES: &str = "oms_sync_dead_letter_failures_total";
/// Counter; outcome.
pub const COMMITS: &str = "oms_sync_commits_total";
/// Gauge, offset; topic, partition.
pub const COMMIT_POINT: &str = "oms_sync_commit_point";
/// Gauge, records; topic, partition.
pub const LAG_RECORDS: &str = "oms_sync_lag_records";
/// Gauge, seconds; topic, partition.
pub const OLDEST_UNSETTLED: &str = "oms_sync_oldest_unsettled_seconds";
/// Gauge.
pub const ASSIGNED_PARTITIONS: &str = "oms_sync_assigned_partitions";
/// Counter; kind.
pub const REBALANCES: &str = "oms_sync_rebalances_total";
/// Gauge 0/1; reason, task.
pub const HOLD: &str = "oms_sync_hold";
/// Gauge 0/1; task, state.
pub const TASK_STATE: &str = "oms_sync_task_state";
/// Gauge; task.
pub const LONE_RETRY_KEYS: &str = "oms_sync_lone_retry_keys";
/// Gauge 0/1.
pub const DEAD_LETTER_BREAKER: &str = "oms_sync_dead_letter_breaker_open";
/// Gauge, seconds since the Unix epoch; only while the credentials expire.
pub const CREDENTIALS_EXPIRY: &str = "oms_sync_credentials_expiry_timestamp_seconds";
/// Gauge, bytes; no series where there is no limit.
pub const MEMORY_LIMIT: &str = "oms_sync_memory_limit_bytes";
/// Counter; code.
pub const KAFKA_ERRORS: &str = "oms_sync_kafka_errors_total";
/// Gauge 0/1.
pub const STALLED: &str = "oms_sync_stalled";
/// Gauge 1; version, revision, librdkafka.
pub const BUILD_INFO: &str = "oms_sync_build_info";
