//! The commands of the one binary, one file each.

pub mod config;
pub mod health;
