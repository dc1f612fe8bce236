//! An order over things in a [`Table`], kept in the things themselves: appending, taking out of the middle and looking at
//! the first cost the same however many there are.

use super::table::{Id, Table};

/// Beyond either end.
const NONE: Id = Id::MAX;

/// A thing's neighbours in its chain. It is in one chain at a time.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    before: Id,
    after: Id,
}

impl Links {
    /// Those of a thing that is in no chain.
    pub const LOOSE: Self = Self { before: NONE, after: NONE };
}

/// What can be in a chain.
pub trait Linked {
    /// Its neighbours; kept by the chain.
    fn links(&mut self) -> &mut Links;
}

/// The chain's ends.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    first: Id,
    last: Id,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Chain {
    /// The first of it.
    #[must_use]
    pub fn first(&self) -> Option<Id> {
        Some(self.first).filter(|first| *first != NONE)
    }

    /// Appends a thing that is in no chain.
    pub fn push<T: Linked>(&mut self, id: Id, table: &mut Table<T>) {
        *table[id].links() = Links { before: self.last, after: NONE };
        match table.get_mut(self.last) {
            Some(last) => last.links().after = id,
            None => self.first = id,
        }
        self.last = id;
    }

    /// Takes a thing out that is in this chain.
    pub fn remove<T: Linked>(&mut self, id: Id, table: &mut Table<T>) {
        let Links { before, after } = std::mem::replace(table[id].links(), Links::LOOSE);
        match table.get_mut(before) {
            Some(before) => before.links().after = after,
            None => self.first = after,
        }
        match table.get_mut(after) {
            Some(after) => after.links().before = before,
            None => self.last = before,
        }
    }

    /// All of it, in order.
    pub fn ids<T: Linked>(&self, table: &mut Table<T>) -> Vec<Id> {
        let mut ids = Vec::new();
        let mut next = self.first;
        while let Some(thing) = table.get_mut(next) {
            ids.push(next);
            next = thing.links().after;
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    impl Linked for Links {
        fn links(&mut self) -> &mut Links {
            self
        }
    }

    #[test]
    fn it_is_in_the_order_of_appending_whatever_is_taken_out() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut table, mut chain, mut model) = (Table::default(), Chain::default(), VecDeque::new());
        for _ in 0..2_000 {
            if random.u8(..5) < 3 {
                let id = table.insert(Links::LOOSE);
                chain.push(id, &mut table);
                model.push_back(id);
            } else if !model.is_empty() {
                let id = model.remove(random.usize(..model.len())).unwrap();
                chain.remove(id, &mut table);
                table.remove(id);
            }
            assert_eq!(chain.first(), model.front().copied());
            assert_eq!(VecDeque::from(chain.ids(&mut table)), model);
        }
    }
}
