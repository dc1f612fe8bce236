//! What the breaker does at the end of each step: opens, probes, closes, and lets letters out.

use std::iter::once;

use super::super::entry::TaskIx;
use super::super::hold::Hold;
use super::super::key::EncodedKey;
use super::super::letters::LetterId;
use super::super::time::Time;
use super::super::{Effect, Effects, Notice, Pipeline};
use super::Probe;
use super::window::Counts;

impl Pipeline {
    /// Lets out the letters that may be written. Walks all that wait once when it closes.
    pub(in super::super) fn turn_breaker(&mut self, now: Time, out: &mut Effects) {
        if self.breaker.waiting() == 0 && self.breaker.open.is_none() {
            return;
        }
        if self.breaker.open.is_some() {
            self.watch_breaker(now, out);
        } else if let Some(excess) = self.breaker.excess() {
            self.open_breaker(&excess, now, out);
        }
        while self.breaker.open.is_none() && self.breaker.may_write() {
            let next = self.breaker.unusable.pop_front().or_else(|| self.breaker.refused.pop_front());
            let Some(id) = next else { return };
            self.let_out(id, now);
        }
    }

    fn open_breaker(&mut self, excess: &str, now: Time, out: &mut Effects) {
        let newest = self.breaker.refused.back().or(self.breaker.unusable.back());
        let example = newest.map(|id| self.letters.describe(*id)).unwrap_or_default();
        let said: Box<str> = format!("{excess}; {example}").into();
        out.actions.push(Effect::Notice(Notice::BreakerOpened(said.clone())));
        self.breaker.open = Some(Hold::new((), said, self.breaker.interval, now, &mut self.random));
        self.breaker.probe_size = 1;
    }

    fn watch_breaker(&mut self, now: Time, out: &mut Effects) {
        if self.breaker.has_recovered() {
            self.close_breaker(now, out);
            return;
        }
        let breaker = &mut self.breaker;
        let Some(open) = &mut breaker.open else { return };
        if breaker.probe.as_ref().is_some_and(|probe| probe.until <= now) {
            breaker.probe = None; // its record is gone, or something else holds its key
            breaker.probe_size = 1;
            open.undecided(now, &mut self.random);
        }
        if open.next_probe().is_some_and(|due| due <= now) && self.drain.is_none() {
            self.probe_breaker(now, out);
        }
    }

    /// Everything that OMS refused is asked for once more: what made the breaker open may be gone.
    fn close_breaker(&mut self, now: Time, out: &mut Effects) {
        out.actions.push(Effect::Notice(Notice::BreakerClosed(self.breaker.waiting())));
        self.breaker.open = None;
        self.breaker.probe = None;
        for id in std::mem::take(&mut self.breaker.refused) {
            if self.ask_again(id, now).is_none() {
                self.breaker.refused.push_back(id);
            }
        }
    }

    fn probe_breaker(&mut self, now: Time, out: &mut Effects) {
        let is_first = self.breaker.probe_size == 1;
        let (mut last, mut written) = (None, false);
        if is_first && self.breaker.waiting() > 0 {
            out.actions.push(Effect::Notice(Notice::BreakerProbes(self.breaker.waiting())));
        }
        for _ in 0..self.breaker.probe_size.min(self.breaker.refused.len()) {
            let Some(id) = self.breaker.refused.pop_front() else { break };
            match self.ask_again(id, now) {
                Some(asked) => last = Some(asked),
                None => self.breaker.refused.push_back(id),
            }
        }
        // What asking does not help makes room for one record more, which may be a better one.
        if is_first
            && self.breaker.may_write()
            && let Some(id) = self.breaker.unusable.pop_front()
        {
            self.let_out(id, now);
            written = true;
        }
        let Some(open) = &mut self.breaker.open else { return };
        if let Some((task, key)) = last {
            open.probing = true;
            self.breaker.probe = Some(Probe { task, key, until: now.after(self.breaker.interval) });
            return;
        }
        self.breaker.probe_size = 1;
        if written {
            let said = std::mem::take(&mut open.said);
            open.held_again((), said, now, &mut self.random);
        } else {
            open.undecided(now, &mut self.random);
        }
    }

    /// Dissolves a letter: its keys wait for OMS again. The last of them, or `None` where that cannot be now.
    fn ask_again(&mut self, id: LetterId, now: Time) -> Option<(TaskIx, EncodedKey)> {
        let (record, letter) = self.letters.content(id)?;
        let failure = &letter.failure;
        let task = &failure.refusal.as_ref()?.task;
        if self.partitions[record.partition].revoking || !self.tasks.admits(&mut once(task), &self.settings) {
            return None;
        }
        let encoding = self.settings.key_encoding;
        let keys = failure.keys.iter().map(|key| EncodedKey::encode(key, encoding).ok());
        let keys: Vec<EncodedKey> = keys.collect::<Option<_>>()?;
        self.letters.remove(id);
        let mut open = 0;
        for key in &keys {
            open += u32::from(self.take_change(task, key.clone(), record, now));
        }
        if let Some(slot) = self.partitions[record.partition].ledger.slot(record) {
            slot.open = (slot.open + open).saturating_sub(1);
        }
        let ix = self.tasks.find(task)?;
        for key in &keys {
            if let Some(entry) = self.tasks[ix].pending.find(key, &self.entries) {
                let attempts = &mut self.entries[entry].attempts;
                *attempts = failure.attempts.max(*attempts);
            }
        }
        keys.into_iter().next_back().map(|key| (ix, key))
    }

    fn let_out(&mut self, id: LetterId, now: Time) {
        self.breaker.window.add(Counts { written: 1, ..Counts::default() }, now);
        if let Some(record) = self.letters.let_out(id) {
            self.partitions[record.partition].letters += 1;
        }
    }
}
