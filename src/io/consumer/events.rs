//! What the consumer tells the loop, and what the loop asks of it.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use smallvec::SmallVec;

use super::Signal;
use crate::io::fault::Fault;
use crate::pipeline::intake::Incoming;
use crate::pipeline::kept::Kept;
use crate::pipeline::partition::PartitionName;
use crate::pipeline::route::Routes;

/// What is done with each record on the polling thread.
pub trait Take {
    /// What a record of the topic asks for, or the record as it was where the table of routes does not tell yet: then
    /// its partition waits for another table.
    fn take(&mut self, topic: &str, record: Kept) -> Result<Incoming, Kept>;

    /// From now on by this table.
    fn set_routes(&mut self, routes: Arc<Routes>);
}

/// A function that needs no table.
impl<F: FnMut(Kept) -> Incoming> Take for F {
    fn take(&mut self, _: &str, record: Kept) -> Result<Incoming, Kept> {
        Ok(self(record))
    }

    fn set_routes(&mut self, _: Arc<Routes>) {}
}

/// A partition as it was assigned to this member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Which.
    pub at: PartitionName,
    /// Told apart from every other assignment of this process: what belongs to another epoch is dead.
    pub epoch: u64,
    /// The group's commit point when it was assigned; `None` where it has none yet.
    pub committed: Option<i64>,
}

/// Records in the order in which they were polled, each with the epoch of its partition's assignment.
#[derive(Debug)]
pub struct Batch {
    /// At most [`super::MAX_BATCH_RECORDS`].
    pub records: Vec<(u64, Incoming)>,
    /// How many of them are of which topic.
    pub topics: SmallVec<[(Arc<str>, u64); 1]>,
    /// To be dropped when the records were admitted, so that the next ones are read.
    pub permit: Permit,
}

/// The right to have one batch open. Dropping it lets the thread read on.
#[derive(Debug)]
pub struct Permit(pub(super) Sender<Signal>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.send(Signal::Admitted).ok(); // no receiver: the thread has ended and reads nothing more
    }
}

/// What happened, in order.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// Partitions were assigned and are being read. May be empty: the member is in the group all the same.
    Assigned(Vec<Assignment>),
    /// These must be given up: drain, commit, wait for the result, then send [`Command::Unassign`] with this list.
    /// No record of theirs follows.
    Revoked(Vec<Assignment>),
    /// These are gone already: forget them, commit nothing of them.
    Lost(Vec<Assignment>),
    /// Reading did not go on where it was: offsets from there on are gone because of retention, or `to` is below because
    /// the topic was made anew or its log was cut.
    Jumped {
        /// Which partition.
        at: PartitionName,
        /// The offset that was expected.
        from: i64,
        /// The offset of the record that came instead.
        to: i64,
    },
    /// Records to admit.
    Records(Batch),
    /// A commit came to its end.
    Committed {
        /// Whether the brokers took all of it. After an error they may have taken a part.
        result: Result<(), Fault>,
        /// What was asked for: next offsets.
        offsets: Vec<(PartitionName, i64)>,
    },
    /// Nothing below `offset` is left to deliver, transactions' control records included: with nothing unsettled it
    /// is the partition's commit point. Told only where it is above what the records themselves tell.
    Ended {
        /// Which partition.
        at: PartitionName,
        /// The assignment that it belongs to.
        epoch: u64,
        /// Next offset that can ever be delivered.
        offset: i64,
    },
    /// All partitions that now wait for another table of routes: their next record is of a bucket that this one cannot place.
    WaitsForRoutes(Vec<PartitionName>),
    /// The brokers' ends of the assigned partitions (the last stable offset with `read_committed`), for the lag.
    Watermarks(Vec<(PartitionName, i64)>),
    /// Whether everything is delivered that is known to be there, as of now. Told every few seconds as long as the client
    /// lives, whatever the brokers do.
    Delivers(Option<Undelivered>),
    /// Something is wrong. Unless `fatal`, the client goes on trying by itself.
    Error {
        /// What.
        fault: Fault,
        /// How many like it there were since the last one was told; they are told once a second and code.
        count: u64,
        /// This consumer will deliver nothing more (or never that partition): end the process.
        fatal: bool,
    },
    /// The thread has left the group and ends.
    Closed,
}

/// What does not deliver though it could.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undelivered {
    /// What is seen.
    pub symptom: Symptom,
    /// Since when nothing moves.
    pub since: Instant,
}

/// What is seen of a client that does not deliver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Symptom {
    /// Records of this partition are known to be there, and not delivered.
    NotDelivered(PartitionName),
    /// Nothing comes over the connection that this partition is fetched over.
    Silent(PartitionName),
    /// Records were fetched and are queued, and polling gives none.
    Queued,
    /// The thread of the connection to this broker does not go round. Where it is the group's coordinator, the group soon
    /// gives this member's partitions to others, and then there is nothing else that could be seen to wait.
    Still(String),
}

/// What the loop asks for. Partitions that are not assigned (any more) are passed over.
#[derive(Debug)]
pub enum Command {
    /// Deliver nothing of these until resumed. Throws prefetched records away: a coarse tool.
    Pause(Vec<PartitionName>),
    /// Undo [`Command::Pause`].
    Resume(Vec<PartitionName>),
    /// Route by this table from the next record on; what waits for a table is looked at again first.
    Route(Arc<Routes>),
    /// The revoke of exactly these is done.
    Unassign(Vec<PartitionName>),
    /// Leave the group and end the thread. What is revoked by it is given up without an event.
    Close,
}
