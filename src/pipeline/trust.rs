//! What is known of the credentials: which are in use, whether they work, which newer ones wait to be tried, and when
//! another failed signature may be risked. Knows numbers in the place of credentials, never a secret, and reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::hold::MAX_PROBE_INTERVAL;
use super::time::Time;

/// Failed signatures that one worker makes at most in [`FAILED_SIGNATURE_WINDOW`]. OMS's gateway locks a key at five.
/// What was out already when a key was revoked is not among them.
pub const MAX_FAILED_SIGNATURES: usize = 3;
/// Span in which failed signatures are counted.
pub const FAILED_SIGNATURE_WINDOW: Duration = Duration::from_mins(5);

/// Numbers credentials in the order in which they were offered; those of the start have 0.
pub type CredentialsNumber = u64;

/// What a request was signed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// With which credentials.
    pub by: CredentialsNumber,
    /// Whether it was not known to be good: its failure counts, whatever has happened since.
    pub is_try: bool,
}

/// How credentials stand that something was signed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// They are in use.
    InUse,
    /// They wait to take the place of those in use.
    Candidate,
    /// Others have taken their place.
    Outdated,
}

/// Credentials that were offered while others work.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    number: CredentialsNumber,
    /// Whether a request signed with them is out.
    out: bool,
    refused: bool,
    not_before: Time,
    wait: Duration,
}

/// The credentials in use and the candidate for their place.
#[derive(Debug)]
pub struct CredentialTrust {
    in_use: CredentialsNumber,
    offered: CredentialsNumber,
    available: bool,
    proven: bool,
    candidate: Option<Candidate>,
    /// The latest failed signatures, at most [`MAX_FAILED_SIGNATURES`].
    failed: VecDeque<Time>,
    /// Requests out whose signature was not known to be good.
    tries_out: usize,
}

impl Default for CredentialTrust {
    /// Credentials that are there and not proven.
    fn default() -> Self {
        Self {
            in_use: 0,
            offered: 0,
            available: true,
            proven: false,
            candidate: None,
            failed: VecDeque::new(),
            tries_out: 0,
        }
    }
}

impl CredentialTrust {
    /// Whether there are credentials at all.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.available
    }

    /// Whether the credentials in use had an answer that is not 401. Until then one request is out at a time.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The credentials in use.
    #[must_use]
    pub fn in_use(&self) -> CredentialsNumber {
        self.in_use
    }

    /// How these credentials stand now.
    #[must_use]
    pub fn role(&self, number: CredentialsNumber) -> Role {
        match self.candidate {
            _ if number == self.in_use => Role::InUse,
            Some(candidate) if candidate.number == number => Role::Candidate,
            _ => Role::Outdated,
        }
    }

    /// From when on a signature may be tried that is not known to be good. Each one that is out counts as failed.
    #[must_use]
    pub fn next_try(&self) -> Time {
        let at_worst = self.failed.len() + self.tries_out;
        if at_worst < MAX_FAILED_SIGNATURES {
            return Time::START;
        }
        let oldest = self.failed.get(at_worst - MAX_FAILED_SIGNATURES);
        oldest.map_or(Time::NEVER, |at| at.after(FAILED_SIGNATURE_WINDOW))
    }

    /// Whether a request may be signed.
    #[must_use]
    pub fn may_sign(&self, now: Time) -> bool {
        self.available && (self.proven || self.next_try() <= now)
    }

    /// A request goes out. With `try_candidate` it is signed with the candidate, if one is due; a `probe` is a try.
    pub fn sign(&mut self, try_candidate: bool, probe: bool, now: Time) -> Signature {
        let next_try = self.next_try();
        let due = |candidate: &&mut Candidate| !candidate.out && candidate.not_before.max(next_try) <= now;
        let signature = match self.candidate.as_mut().filter(due) {
            Some(candidate) if try_candidate => {
                candidate.out = true;
                Signature { by: candidate.number, is_try: true }
            }
            _ => Signature { by: self.in_use, is_try: probe || !self.proven },
        };
        self.tries_out += usize::from(signature.is_try);
        signature
    }

    /// A request was answered, or its connection failed.
    pub fn came_back(&mut self, signature: Signature) {
        self.tries_out -= usize::from(signature.is_try);
        if let Some(candidate) = self.candidate.as_mut().filter(|candidate| candidate.number == signature.by) {
            candidate.out = false;
        }
    }

    /// The credentials in use had an answer that is not 401.
    pub fn prove(&mut self) {
        self.proven = true;
    }

    /// The credentials in use were answered with 401.
    pub fn fail(&mut self, now: Time) {
        self.proven = false;
        self.count_failed(now);
    }

    /// A signature failed, of whatever credentials.
    pub fn count_failed(&mut self, now: Time) {
        self.failed.push_back(now);
        while self.failed.len() > MAX_FAILED_SIGNATURES {
            self.failed.pop_front();
        }
    }

    /// Others are offered: they wait until a request signed with them was answered well.
    pub fn offer_candidate(&mut self, wait: Duration, now: Time) {
        self.offered += 1;
        let number = self.offered;
        self.candidate = Some(Candidate { number, out: false, refused: false, not_before: now, wait });
    }

    /// Others are offered, and those in use are of no use: they are taken as they are.
    pub fn offer_and_adopt(&mut self) {
        self.offered += 1;
        self.adopt(self.offered, false);
    }

    /// The candidate was refused; it is tried again later, after doubling waits.
    pub fn candidate_refused(&mut self, now: Time) {
        if let Some(candidate) = &mut self.candidate {
            candidate.refused = true;
            candidate.not_before = now.after(candidate.wait);
            candidate.wait = candidate.wait.saturating_mul(2).min(MAX_PROBE_INTERVAL);
        }
    }

    /// The candidate was answered well: from now on it is in use.
    pub fn adopt_proven(&mut self) {
        if let Some(candidate) = self.candidate {
            self.adopt(candidate.number, true);
        }
    }

    /// Those in use are of no use: the candidate takes their place, whether it works or not. `None` where there is
    /// none, else whether it was tried already: it was refused, or its answer is still out.
    pub fn adopt_untried(&mut self) -> Option<bool> {
        let candidate = self.candidate?;
        self.adopt(candidate.number, false);
        Some(candidate.refused || candidate.out)
    }

    fn adopt(&mut self, number: CredentialsNumber, proven: bool) {
        self.in_use = number;
        self.available = true;
        self.proven = proven;
        self.candidate = None;
    }

    /// There are none, or none any more. What was signed with the last ones is outdated.
    pub fn withdraw(&mut self) {
        self.offered += 1;
        self.in_use = self.offered;
        self.available = false;
        self.proven = false;
        self.candidate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn after_three_failed_signatures_the_fourth_waits_for_five_minutes() {
        let mut trust = CredentialTrust::default();
        for second in [0, 1] {
            trust.fail(at(second));
            assert_eq!(trust.next_try(), Time::START);
        }
        trust.fail(at(3));
        assert_eq!(trust.next_try(), at(300));
        trust.fail(at(300));
        assert_eq!(trust.next_try(), at(301));
    }

    #[test]
    fn a_try_that_is_out_counts_as_failed_until_it_comes_back() {
        let mut trust = CredentialTrust::default();
        trust.fail(at(0));
        trust.fail(at(10));
        let first = trust.sign(false, false, at(20));
        assert_eq!(trust.next_try(), at(300));
        trust.came_back(first);
        assert_eq!(trust.next_try(), Time::START);
        for _ in 0..3 {
            trust.sign(false, true, at(20));
        }
        trust.sign(false, true, at(20));
        trust.sign(false, true, at(20));
        assert_eq!(trust.next_try(), Time::NEVER, "not before one of them comes back");
    }

    #[test]
    fn a_candidate_is_tried_by_one_request_at_a_time_and_again_after_doubling_waits() {
        let mut trust = CredentialTrust::default();
        trust.prove();
        trust.offer_candidate(Duration::from_mins(1), at(0));
        let mut tried = Vec::new();
        for second in 0..1_000 {
            let signature = trust.sign(true, false, at(second));
            if trust.role(signature.by) == Role::Candidate {
                let next = trust.sign(true, false, at(second));
                assert_eq!(trust.role(next.by), Role::InUse);
                tried.push(second);
                trust.came_back(signature);
                trust.candidate_refused(at(second));
            }
        }
        assert_eq!(tried, [0, 60, 180, 420, 900]);
        assert!(trust.is_proven() && trust.in_use() == 0, "the old ones are used on");
    }
}
