//! The values that labels take: fixed sets, so that no series is made by what comes from outside.

use crate::pipeline::answer::{HoldReason, Verdict};

/// A fixed set of label values.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The label's text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

label!(
    /// How a record was settled: the worst of its changes, in the order dead-lettered, accepted, skipped.
    RecordOutcome {
        /// OMS took its changes.
        Accepted = "accepted",
        /// It has a dead letter.
        DeadLettered = "dead_lettered",
        /// Nothing in it needed synchronization.
        Skipped = "skipped",
    }
);

label!(
    /// What becomes of an object change.
    ChangeAction {
        /// It is submitted.
        Sync = "sync",
        /// It needs no synchronization.
        Skip = "skip",
        /// It can never be submitted.
        Reject = "reject",
    }
);

label!(
    /// What an answer meant.
    VerdictLabel {
        /// OMS took every key.
        Accepted = "accepted",
        /// OMS will never take the event as it is.
        Refused = "refused",
        /// Later.
        Busy = "busy",
        /// Not before something outside changes.
        Hold = "hold",
    }
);

label!(
    /// How a commit ended.
    CommitOutcome {
        /// The broker took it.
        Ok = "ok",
        /// It failed and is tried again.
        Failed = "failed",
        /// The partitions belong to another member by now.
        Fenced = "fenced",
    }
);

label!(
    /// How the assignment changed.
    RebalanceKind {
        /// Partitions came.
        Assign = "assign",
        /// Partitions were asked back.
        Revoke = "revoke",
        /// Partitions are gone already.
        Lost = "lost",
    }
);

label!(
    /// What OMS says of a task.
    TaskState {
        /// It takes events.
        Synchronizing = "synchronizing",
        /// It was stopped.
        Stopped = "stopped",
        /// Not known, or a state that this build does not know.
        Unknown = "unknown",
    }
);

impl From<Verdict> for VerdictLabel {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::Accepted,
            Verdict::Refused | Verdict::UnknownTask => Self::Refused,
            Verdict::Busy(_) => Self::Busy,
            Verdict::Hold(_) | Verdict::TaskStopped => Self::Hold,
        }
    }
}

/// The label `reason` of a missing or doubtful table of routes.
pub const ROUTES_HOLD: &str = "routes";

/// The label `reason` of a hold.
#[must_use]
pub fn hold_reason(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Credentials => "credentials",
        HoldReason::Account => "account",
        HoldReason::Endpoint => "endpoint",
        HoldReason::Permission => "permission",
    }
}
