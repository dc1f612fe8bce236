//! What OMS answers: to an event, how a task stands, and which tasks there are.

use super::*;

impl World {
    pub(in crate::pipeline::tests) fn answer(&mut self, which: usize, how: u8) {
        if self.out_submissions.is_empty() {
            return;
        }
        let (id, changes, lengths) = self.out_submissions.remove(which % self.out_submissions.len());
        let (verdict, status) = match how {
            0..=9 => (Verdict::Busy(Pressure::Throttled), 429),
            10..=19 => (Verdict::Busy(Pressure::Overloaded), 503),
            20..=25 => (Verdict::Hold(HoldReason::Credentials), 401),
            26..=29 => (Verdict::Hold(HoldReason::Endpoint), 405),
            30..=39 => (Verdict::Hold(HoldReason::Permission), 403),
            40..=45 => (Verdict::TaskStopped, 400),
            46..=50 if changes[0].0 == 2 => (Verdict::UnknownTask, 404),
            _ if changes.iter().any(|(_, key)| *key == 0) => (Verdict::Refused, 400),
            _ if changes.iter().any(|(_, key)| *key == 1) && how < 200 => (Verdict::Busy(Pressure::Faulted), 500),
            _ => (Verdict::Accepted, 200),
        };
        if verdict == Verdict::Accepted {
            for (p, log) in self.logs.iter_mut().enumerate() {
                for record in &mut log[..lengths[p]] {
                    record.retain(|change| !changes.contains(change));
                }
            }
        }
        self.step(Input::Answered(id, answer(verdict, status)));
    }

    pub(in crate::pipeline::tests) fn stand(&mut self, which: usize, how: u8) {
        if self.out_questions.is_empty() {
            return;
        }
        let task = self.out_questions.remove(which % self.out_questions.len());
        let standing = match how {
            0..=40 => Standing::Stopped,
            41..=60 => Standing::EmptyProject,
            61..=80 => Standing::Unknown(answer(Verdict::Hold(HoldReason::Credentials), 401)),
            81..=100 => Standing::Unknown(answer(Verdict::Busy(Pressure::Overloaded), 503)),
            101..=130 => Standing::Missing,
            _ => Standing::Active,
        };
        self.step(Input::TaskStands(task, standing));
    }

    pub(in crate::pipeline::tests) fn list(&mut self, how: u8) {
        if !std::mem::take(&mut self.out_listing) {
            return;
        }
        let task = |n: u8| ListedTask {
            id: TaskId::new(&n.to_string()).unwrap(),
            bucket: Some(if how.is_multiple_of(7) { "b".into() } else { n.to_string().into() }),
            state: if how & (1 << n) == 0 { ListedState::Stopped } else { ListedState::Synchronizing },
        };
        let refused = |verdict, status| Err(Box::new(answer(verdict, status)));
        let listed = match how {
            0..=19 => refused(Verdict::Hold(HoldReason::Credentials), 401),
            20..=29 => refused(Verdict::Hold(HoldReason::Endpoint), 404),
            30..=39 => refused(Verdict::Hold(HoldReason::Permission), 403),
            40..=49 => refused(Verdict::Busy(Pressure::Throttled), 429),
            50..=69 => refused(Verdict::Busy(Pressure::Overloaded), 503),
            70..=79 => Ok(Listing { tasks: Vec::new(), is_whole: true }),
            80..=89 => Ok(Listing { tasks: (0..3).map(task).collect(), is_whole: false }),
            _ => Ok(Listing { tasks: (0..3).map(task).collect(), is_whole: true }),
        };
        self.step(Input::Listed(listed));
    }
}
