//! What is OMS's, and only that: signing, credentials, the client, and what its answers mean.

pub mod client;
pub mod clock;
mod codes;
pub mod credentials;
mod error_body;
mod failure;
pub mod sign;
pub mod tasks;
pub mod trust;
pub mod verdict;
