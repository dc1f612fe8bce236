//! The one integration-test binary: a module a topic.

mod brokers;
mod consumer;
mod dead_letter;
mod member;
mod rebalance;
