//! The commands of the one binary, one file each.

pub mod decode;
pub mod generate;
pub mod simulate;
