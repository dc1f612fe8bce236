//! The one integration-test binary: a module a topic.

mod admin;
mod brokers;
mod config;
mod consumer;
mod dead_letter;
mod demo;
mod generate;
mod member;
mod rebalance;
mod records;
mod signing;
mod simulation;
mod simulator;
mod verdicts;
