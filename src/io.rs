//! Thin shells around Kafka, sockets and signals. They perform and report; they decide nothing.

pub mod admin;
pub mod consumer;
pub mod dead_letter;
pub mod fault;
pub mod signal;
