//! What was done to a record, step by step, for people. Says what the code did; decides nothing.

use super::{Format, KeyText};

/// One step from a record's value to its changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// An envelope was opened.
    Envelope(&'static str),
    /// A document was taken for one of a family.
    Family(Format, &'static str),
    /// A change was found; the steps have one for each change, in their order.
    Change {
        /// The key as it stands in the record and how it was read; `None` where there is none.
        key: Option<(String, KeyText)>,
    },
}
