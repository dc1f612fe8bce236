//! What news of credentials and answers to signed requests do to the worker: which credentials are in use, whether the
//! worker holds, when a probe goes out. Sees no secret.

use super::answer::{Answer, HoldReason, Status, Verdict};
use super::dispatch::Sent;
use super::time::Time;
use super::trust::Role;
use super::{Effect, Effects, Notice, Pipeline};

/// What happened to the worker's credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialNews {
    /// There are none yet, and their source is being asked.
    Awaited,
    /// There are others than those that were offered before. They take the place of the credentials in use once a
    /// request signed with them was answered well, or at once where those do not work.
    Offered,
    /// There are none, or they have expired: why, for people.
    Missing(Box<str>),
}

/// Whom an answer tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Learned {
    /// Of the event, its task and OMS, like any answer.
    OfEvent,
    /// Of credentials that are not in use, and of nothing else.
    OfOthers,
}

impl Pipeline {
    pub(super) fn credentials_changed(&mut self, news: CredentialNews, now: Time, out: &mut Effects) {
        match news {
            CredentialNews::Awaited => self.trust.withdraw(),
            CredentialNews::Missing(why) => {
                self.trust.withdraw();
                match &mut self.hold {
                    Some(hold) => (hold.reason, hold.said) = (HoldReason::Credentials, why),
                    None => self.hold_worker(HoldReason::Credentials, why, now, out),
                }
            }
            CredentialNews::Offered if self.credentials_work() && !self.waits_for_first_table() => {
                self.trust.offer_candidate(self.settings.hold_probe_interval, now);
            }
            CredentialNews::Offered => {
                self.trust.offer_and_adopt();
                self.adopted(now, out);
                self.probe_at_once(now);
            }
        }
    }

    /// Without any routes nothing is sent that could try new credentials, and those in use may lack the right to list tasks.
    fn waits_for_first_table(&self) -> bool {
        self.discovery.as_ref().is_some_and(|discovery| !discovery.has_table())
    }

    fn credentials_work(&self) -> bool {
        let refused = |reason| matches!(reason, HoldReason::Credentials | HoldReason::Account);
        self.trust.is_proven() && !self.hold.as_ref().is_some_and(|hold| refused(hold.reason))
    }

    /// Other credentials are in use: what was held back for a lack of rights is asked anew. Walks all tasks once.
    fn adopted(&mut self, now: Time, out: &mut Effects) {
        out.actions.push(Effect::AdoptCredentials);
        let interval = self.settings.hold_probe_interval;
        let mut blocked = Vec::new();
        for (ix, task) in self.tasks.iter_mut() {
            if let Some(block) = &mut task.block {
                block.probe_at_once(interval, now);
                blocked.push(ix);
            }
        }
        for ix in blocked {
            self.reschedule(ix, now);
        }
    }

    fn probe_at_once(&mut self, now: Time) {
        if let Some(hold) = &mut self.hold {
            hold.probe_at_once(self.settings.hold_probe_interval, now);
        }
    }

    /// The credentials in use were refused: a candidate takes their place, and their source is asked for others.
    pub(super) fn look_for_credentials(&mut self, reason: HoldReason, now: Time, out: &mut Effects) {
        if reason != HoldReason::Credentials || !self.trust.is_available() {
            return;
        }
        let adopted = self.trust.adopt_untried();
        if let Some(was_tried) = adopted {
            self.adopted(now, out);
            if !was_tried {
                self.probe_at_once(now);
            }
        }
        if adopted != Some(false) {
            out.actions.push(Effect::RefreshCredentials);
        }
    }

    pub(super) fn learn_of_credentials(
        &mut self,
        sent: &mut Sent,
        answer: &Answer,
        now: Time,
        out: &mut Effects,
    ) -> Learned {
        self.trust.came_back(sent.signature);
        let denied = matches!(
            answer.verdict,
            Verdict::Hold(HoldReason::Credentials | HoldReason::Account | HoldReason::Permission)
        );
        match self.trust.role(sent.signature.by) {
            Role::InUse => {
                // Only the first of the answers that were out counts, and every try after it.
                if self.hold.is_none() || sent.probes_worker || sent.signature.is_try {
                    self.count_signature(answer, now);
                }
                // A hold may have begun, and these credentials come into use, while it was out.
                sent.probes_worker |= sent.signature.is_try && self.hold.is_some();
                Learned::OfEvent
            }
            Role::Candidate if denied => {
                self.candidate_refused(sent, answer, now, out);
                Learned::OfOthers
            }
            Role::Candidate => {
                if !matches!(answer.verdict, Verdict::Busy(_) | Verdict::Hold(_)) {
                    self.trust.adopt_proven();
                    self.adopted(now, out);
                    self.probe_at_once(now); // a probe that is out is of those that were in use before
                }
                Learned::OfEvent
            }
            Role::Outdated => {
                // Those that took their place have probes of their own.
                (sent.probes_worker, sent.probes_task) = (false, false);
                if sent.signature.is_try && is_failed_signature(answer) {
                    self.trust.count_failed(now);
                }
                if denied { Learned::OfOthers } else { Learned::OfEvent }
            }
        }
    }

    fn candidate_refused(&mut self, sent: &Sent, answer: &Answer, now: Time, out: &mut Effects) {
        self.trust.candidate_refused(now);
        out.actions.push(Effect::Notice(Notice::CredentialsRefused(answer.said())));
        if is_failed_signature(answer) {
            self.trust.count_failed(now);
            out.actions.push(Effect::RefreshCredentials);
        }
        let block = self.tasks[sent.event.task].block.as_mut().filter(|_| sent.probes_task);
        if let Some(block) = block {
            block.undecided(now, &mut self.random);
        }
    }

    pub(super) fn count_signature(&mut self, answer: &Answer, now: Time) {
        match answer.status {
            _ if is_failed_signature(answer) => self.trust.fail(now),
            Status::Http(_) => self.trust.prove(),
            _ => {}
        }
    }
}

/// A 401 is one whatever its code says, and so is what OMS itself calls a failed authentication.
pub(super) fn is_failed_signature(answer: &Answer) -> bool {
    answer.status == Status::Http(401) || answer.verdict == Verdict::Hold(HoldReason::Credentials)
}
