//! The worker as a library: the binary, the demo and the tests stand on it.
//!
//! In the order in which a record meets them:
//!
//! * [`config`]: one YAML file and the environment, validated as a whole.
//! * [`io`]: Kafka consumer, dead-letter producer, admin server, signals. Thin shells that decide nothing.
//! * [`formats`]: record bytes to object changes, one file a producer family. Pure.
//! * [`pipeline`]: every decision, as `step(now, input) -> effects`. Pure: no I/O, no clock.
//! * [`oms`]: what is OMS's and only that: signing, credentials, client, verdicts.
//! * [`worker`]: the one loop that owns the pipeline and performs its effects.
//! * [`metrics`], [`telemetry`]: what people and dashboards see.
//! * [`simulator`]: an OMS to test against.
//! * [`cli`], [`commands`]: the commands of the one binary.

pub mod cli;
pub mod commands;
pub mod config;
pub mod formats;
pub mod io;
pub mod metrics;
pub mod oms;
pub mod pipeline;
pub mod simulator;
pub mod telemetry;
pub mod worker;
