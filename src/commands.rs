//! The commands of the one binary, one file each.

<<<<<<< HEAD
pub mod simulate;
=======
pub mod decode;
pub mod generate;
>>>>>>> records
