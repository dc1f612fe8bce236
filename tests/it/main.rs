//! The one integration-test binary: a module a topic.

mod brokers;
mod consumer;
mod member;
mod rebalance;
