//! The commands of the one binary, one file each.

pub mod check;
pub mod config;
pub mod dead_letters;
pub mod decode;
pub mod demo;
pub mod generate;
pub mod health;
pub mod run;
pub mod simulate;
