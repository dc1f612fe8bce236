//! The one integration-test binary: a module a topic.

mod signing;
mod simulator;
mod verdicts;
