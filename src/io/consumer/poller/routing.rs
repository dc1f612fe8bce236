//! Records that the table of routes cannot place yet: their partitions are paused, and they are looked at again with the
//! next table. Until then nothing behind them is read, and no end of their partition is told.

use std::sync::Arc;

use super::{Poller, Reading, Waiting};
use crate::io::consumer::{ConsumerEvent, Take};
use crate::pipeline::partition::PartitionName;
use crate::pipeline::route::Routes;

impl<T: Take> Poller<T> {
    pub(super) fn wait_for_routes(&mut self, waiting: Waiting) {
        let paused = self.partitions.let_wait(std::slice::from_ref(&waiting.at), true);
        self.waiting.push(waiting);
        self.pause(&paused);
        self.tell_waiting();
    }

    pub(super) fn route(&mut self, routes: Arc<Routes>) {
        self.take.set_routes(routes);
        let waited: Vec<_> = self.waiting_names();
        let resumed = self.partitions.let_wait(&waited, false);
        for waiting in std::mem::take(&mut self.waiting) {
            if self.partitions.waits(&waiting.at.topic, waiting.at.partition) {
                self.waiting.push(waiting); // behind one that waits on
                continue;
            }
            let Waiting { at, epoch, record } = waiting;
            match self.take.take(&at.topic, record) {
                Ok(incoming) => self.add(&at.topic, epoch, incoming),
                Err(record) => {
                    drop(self.partitions.let_wait(std::slice::from_ref(&at), true));
                    self.waiting.push(Waiting { at, epoch, record });
                }
            }
        }
        self.flush();
        let goes_on = self.partitions.without_paused(&resumed);
        if !matches!(self.reading, Reading::Paused) {
            self.resume(&goes_on);
        }
        if !waited.is_empty() {
            self.tell_waiting();
        }
    }

    /// Drops what waits of assignments that are over: their next owners read it again.
    pub(super) fn forget_waiting(&mut self) {
        let before = self.waiting.len();
        let partitions = &self.partitions;
        self.waiting.retain(|Waiting { at, epoch, .. }| partitions.is_current(&at.topic, at.partition, *epoch));
        if self.waiting.len() != before {
            self.tell_waiting();
        }
    }

    fn tell_waiting(&self) {
        self.tell(ConsumerEvent::WaitsForRoutes(self.waiting_names()));
    }

    fn waiting_names(&self) -> Vec<PartitionName> {
        let mut names: Vec<_> = self.waiting.iter().map(|waiting| waiting.at.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}
