//! The one integration-test binary: a module a topic.

mod admin;
mod brokers;
mod config;
mod member;
mod rebalance;
mod signing;
mod simulation;
