//! The commands of the one binary, one file each, and what several of them have: `config_file`, `exit`, `printable`.

pub mod check;
pub mod config;
pub mod config_file;
pub mod dead_letters;
pub mod decode;
pub mod demo;
pub mod exit;
pub mod generate;
pub mod health;
mod printable;
pub mod run;
pub mod simulate;
