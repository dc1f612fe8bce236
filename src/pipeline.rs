//! The pure core: every decision of the worker, as `step(now, input) -> effects`.
//!
//! Nothing in here does I/O, reads a clock, or knows tokio, rdkafka, reqwest or prometheus.

pub mod answer;
pub mod intake;
pub mod key;
pub mod record;
pub mod route;
