//! What the Kafka consumer tells, passed on to the pipeline and to what people see. Decides nothing.

use tracing::{info, warn};

use super::{Worker, WorkerError, parts, stall};
use crate::io::consumer::ConsumerEvent;
use crate::metrics::labels::{CommitOutcome, RebalanceKind};
use crate::pipeline::{CommitError, Input};

impl Worker {
    pub(super) fn happened(&mut self, event: ConsumerEvent) -> Result<(), WorkerError> {
        match event {
            ConsumerEvent::Records(batch) => {
                self.publisher.consumed(&batch.topics);
                self.permits.push(batch.permit);
                self.step(Input::Records(batch.records));
            }
            ConsumerEvent::Assigned(partitions) => {
                info!(partitions = %parts::list(&partitions), "assigned");
                self.metrics.rebalances(RebalanceKind::Assign).inc();
                self.publisher.joined(!partitions.is_empty());
                self.step(Input::Assigned(parts::assigned(partitions)));
                self.publish(); // it may be ready
            }
            ConsumerEvent::Revoked(partitions) => {
                info!(partitions = %parts::list(&partitions), "revoked; settling what is under way");
                self.metrics.rebalances(RebalanceKind::Revoke).inc();
                self.step(Input::Revoked(parts::names(partitions)));
            }
            ConsumerEvent::Lost(partitions) => {
                warn!(partitions = %parts::list(&partitions), "lost; their records are read again by their next owner");
                self.metrics.rebalances(RebalanceKind::Lost).inc();
                let names = parts::names(partitions);
                self.publisher.lost(&names);
                self.step(Input::Lost(names));
            }
            ConsumerEvent::Committed { result, .. } => {
                let result = parts::commit_result(result);
                self.metrics
                    .commits(match &result {
                        Ok(()) => CommitOutcome::Ok,
                        Err((CommitError::Failed, _)) => CommitOutcome::Failed,
                        Err((CommitError::Fenced, _)) => CommitOutcome::Fenced,
                    })
                    .inc();
                self.publisher.committed(&result);
                self.step(Input::Committed(result.map_err(|(error, _)| error)));
            }
            ConsumerEvent::Ended { at, epoch, offset } => self.step(Input::Ended(at, epoch, offset)),
            ConsumerEvent::WaitsForRoutes(names) => self.publisher.waits_for_routes(names),
            ConsumerEvent::Jumped { at, from, to } => self.publisher.jumped(&at, from, to),
            ConsumerEvent::Watermarks(ends) => self.publisher.watermarks(ends),
            ConsumerEvent::Delivers(undelivered) => {
                let wait = undelivered.map(|wait| (stall::describe(&wait), self.clock.time_of(wait.since)));
                self.publisher.delivers(wait, self.clock.now());
            }
            ConsumerEvent::Error { fault, count, fatal } => {
                self.metrics.kafka_errors(&fault.code).inc_by(count);
                if fatal {
                    return Err(WorkerError::Kafka(fault));
                }
                self.publisher.kafka_error(&fault, self.clock.now());
            }
            ConsumerEvent::Closed => return Err(WorkerError::ConsumerGone),
        }
        Ok(())
    }
}
