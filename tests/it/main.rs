//! The one integration-test binary: a module a topic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]
#![expect(clippy::disallowed_methods, reason = "tests bound their waits by the clock and read their environment")]

mod admin;
mod alerts;
mod brokers;
mod campaign;
mod certified;
mod chart;
mod check;
mod config;
mod consumer;
mod credentials;
mod dead_letter;
mod dead_letters;
mod demo;
mod discovery;
mod fixtures;
mod formats;
mod frozen;
mod generate;
mod group;
mod hard;
mod letters;
mod member;
mod positions;
mod proxy;
mod quota;
mod rebalance;
mod records;
mod resources;
mod signing;
mod simulation;
mod simulator;
mod stage;
mod stalls;
mod tls;
mod vendor;
mod verdict_codes;
mod verdicts;
mod wire;
mod worker;
