//! What requests are signed with, and the sources that it comes from. Never printed, and wiped from memory when dropped.

mod ask;
mod files;
pub mod iam_token;
mod identity;
pub mod keeper;
pub mod metadata;
pub mod pod_identity;
pub mod refresh;
pub mod source;
mod temporary;

pub use ask::AskerError;
pub use identity::{AuthToken, Credentials, CredentialsError, Identity, Part};
