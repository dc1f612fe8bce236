//! The one budget of what is read and not settled: changes and bytes.

/// Bytes that the budget is charged for a change, beside its record's own bytes.
pub const CHANGE_BYTES: usize = 200;

/// How much of the budget is used.
#[derive(Debug)]
pub struct Budget {
    max_changes: usize,
    max_bytes: usize,
    changes: usize,
    bytes: usize,
}

impl Budget {
    /// An unused budget.
    #[must_use]
    pub fn new(max_changes: usize, max_bytes: usize) -> Self {
        Self { max_changes, max_bytes, changes: 0, bytes: 0 }
    }

    /// Whether a record of that size may be taken in. Any may, while nothing is unsettled.
    #[must_use]
    pub fn admits(&self, changes: usize, bytes: usize) -> bool {
        let fits = self.changes + changes <= self.max_changes && self.bytes + bytes <= self.max_bytes;
        fits || (self.changes == 0 && self.bytes == 0)
    }

    /// Whether more than one part of so many is in use.
    #[must_use]
    pub fn is_used_above(&self, parts: usize) -> bool {
        self.changes > self.max_changes / parts || self.bytes > self.max_bytes / parts
    }

    /// A record was taken in.
    pub fn charge(&mut self, changes: usize, bytes: usize) {
        self.changes += changes;
        self.bytes += bytes;
    }

    /// A record was settled or given up.
    pub fn refund(&mut self, changes: usize, bytes: usize) {
        self.changes = self.changes.saturating_sub(changes);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Changes and bytes in use.
    #[must_use]
    pub fn used(&self) -> (usize, usize) {
        (self.changes, self.bytes)
    }

    /// Changes and bytes there are.
    #[must_use]
    pub fn limits(&self) -> (usize, usize) {
        (self.max_changes, self.max_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_limit_stops_admission() {
        let mut budget = Budget::new(10, 1_000);
        budget.charge(9, 100);
        assert!(budget.admits(1, 900));
        assert!(!budget.admits(2, 1));
        assert!(!budget.admits(1, 901));
    }

    #[test]
    fn one_record_of_any_size_is_admitted_when_nothing_is_unsettled() {
        let mut budget = Budget::new(10, 1_000);
        assert!(budget.admits(10_000, 1_000_000));
        budget.charge(10_000, 1_000_000);
        assert!(!budget.admits(1, 1));
        budget.refund(10_000, 1_000_000);
        assert_eq!(budget.used(), (0, 0));
    }
}
