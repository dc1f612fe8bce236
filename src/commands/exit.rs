//! How a command may end: the process's exit codes.

use std::process::ExitCode;

/// What the process says when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done or drained: 0.
    Done,
    /// Configuration or check failed: 1.
    Refused,
    /// Fatal at run time: 2.
    Fatal,
    /// The drain deadline passed: 3.
    DrainDeadline,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Fatal => 2,
            Exit::DrainDeadline => 3,
        })
    }
}
