//! The one integration-test binary: a module a topic.

mod brokers;
mod member;
mod rebalance;
mod signing;
mod simulation;
mod simulator;
mod verdicts;
