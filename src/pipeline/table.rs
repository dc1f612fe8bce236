//! Things by a small number that is theirs until they are taken out. A number is used again afterwards.

use std::ops::{Index, IndexMut};

use slab::Slab;

/// A number of half a pointer's size: there are many references to what is in a table.
pub type Id = u32;

/// How many numbers a piece has.
const PIECE: usize = 1 << 10;

/// A slab with such numbers, in pieces: growing moves no more than a piece, and what the last things of a piece leave
/// behind is given back.
#[derive(Debug)]
pub struct Table<T> {
    pieces: Vec<Slab<T>>,
    /// Pieces that are not full, the one that is filled first at the end.
    roomy: Vec<usize>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), roomy: Vec::new(), len: 0 }
    }
}

impl<T> Table<T> {
    /// Adds something.
    pub fn insert(&mut self, thing: T) -> Id {
        let number = self.roomy.last().copied().unwrap_or_else(|| self.add_piece());
        let piece = &mut self.pieces[number];
        let at = piece.insert(thing);
        if piece.len() == PIECE {
            self.roomy.pop();
        }
        self.len += 1;
        id(number, at)
    }

    fn add_piece(&mut self) -> usize {
        // The first grows as it must, like those that were given back: most tables are small.
        let capacity = if self.pieces.is_empty() { 0 } else { PIECE };
        self.pieces.push(Slab::with_capacity(capacity));
        self.roomy.push(self.pieces.len() - 1);
        self.pieces.len() - 1
    }

    /// Takes what is at that number out.
    ///
    /// # Panics
    /// Where nothing is there.
    pub fn remove(&mut self, id: Id) -> T {
        let (number, at) = place(id);
        let piece = &mut self.pieces[number];
        let thing = piece.remove(at);
        self.len -= 1;
        if piece.len() == PIECE - 1 {
            self.give_back();
            self.roomy.push(number);
        } else if piece.is_empty() && self.roomy.last() != Some(&number) {
            *piece = Slab::new();
        }
        thing
    }

    /// Another piece will be filled first: if the one so far is empty it needs no memory.
    fn give_back(&mut self) {
        if let Some(last) = self.roomy.last()
            && self.pieces[*last].is_empty()
        {
            self.pieces[*last] = Slab::new();
        }
    }

    /// What is at that number.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&T> {
        let (number, at) = place(id);
        self.pieces.get(number)?.get(at)
    }

    /// What is at that number.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let (number, at) = place(id);
        self.pieces.get_mut(number)?.get_mut(at)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        let pieces = self.pieces.iter().enumerate();
        pieces.flat_map(|(number, piece)| piece.iter().map(move |(at, thing)| (id(number, at), thing)))
    }

    /// All of it.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut T)> {
        let pieces = self.pieces.iter_mut().enumerate();
        pieces.flat_map(|(number, piece)| piece.iter_mut().map(move |(at, thing)| (id(number, at), thing)))
    }

    /// How much there is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> Index<Id> for Table<T> {
    type Output = T;
    fn index(&self, id: Id) -> &T {
        let (number, at) = place(id);
        &self.pieces[number][at]
    }
}

impl<T> IndexMut<Id> for Table<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        let (number, at) = place(id);
        &mut self.pieces[number][at]
    }
}

fn place(id: Id) -> (usize, usize) {
    (id as usize / PIECE, id as usize % PIECE)
}

/// Four billion of anything in here are more than there is memory for.
fn id(number: usize, at: usize) -> Id {
    Id::try_from(number * PIECE + at).unwrap_or(Id::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_in_it_is_found_by_its_number_until_it_is_taken_out() {
        let mut random = fastrand::Rng::with_seed(11);
        let (mut table, mut model) = (Table::default(), BTreeMap::new());
        for round in 0..40_000 {
            // Fills to some pieces, then empties.
            if random.u8(..10) < if round < 20_000 { 6 } else { 3 } {
                assert!(model.insert(table.insert(round), round).is_none());
            } else if let Some((id, thing)) = model.pop_first() {
                assert_eq!(table.remove(id), thing);
                assert!(table.get(id).is_none() && table.get_mut(id).is_none());
            }
            assert_eq!(table.len(), model.len());
        }
        for _ in 0..5_000 {
            model.insert(table.insert(7), 7);
        }
        assert!(model.iter().all(|(id, thing)| table[*id] == *thing && table.get(*id) == Some(thing)));
        assert_eq!(table.iter().map(|(id, thing)| (id, *thing)).collect::<BTreeMap<_, _>>(), model);
    }

    #[test]
    fn a_table_that_was_large_gives_its_memory_back() {
        let mut table = Table::default();
        let ids: Vec<_> = (0..100 * PIECE).map(|thing| table.insert(thing)).collect();
        for id in &ids[1..] {
            table.remove(*id);
        }
        let room: usize = table.pieces.iter().map(Slab::capacity).sum();
        assert!(room <= 3 * PIECE, "{room}");
        assert_eq!((table.len(), table[ids[0]]), (1, 0));
        let again = (1..100 * PIECE).map(|thing| table.insert(thing)).max();
        assert_eq!(again, ids.last().copied()); // numbers are used again
    }
}
