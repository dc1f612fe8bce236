//! Things by a small number that is theirs until they are taken out. A number is used again afterwards.

use std::ops::{Index, IndexMut};

use slab::Slab;

/// A number of half a pointer's size: there are many references to what is in a table.
pub type Id = u32;

/// A slab with such numbers.
#[derive(Debug)]
pub struct Table<T>(Slab<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Slab::new())
    }
}

impl<T> Table<T> {
    /// Adds something.
    pub fn insert(&mut self, thing: T) -> Id {
        id(self.0.insert(thing))
    }

    /// Takes what is at that number out.
    ///
    /// # Panics
    /// Where nothing is there.
    pub fn remove(&mut self, id: Id) -> T {
        self.0.remove(id as usize)
    }

    /// What is at that number.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&T> {
        self.0.get(id as usize)
    }

    /// What is at that number.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.0.get_mut(id as usize)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.0.iter().map(|(at, thing)| (id(at), thing))
    }

    /// All of it.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut T)> {
        self.0.iter_mut().map(|(at, thing)| (id(at), thing))
    }

    /// How much there is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Index<Id> for Table<T> {
    type Output = T;
    fn index(&self, id: Id) -> &T {
        &self.0[id as usize]
    }
}

impl<T> IndexMut<Id> for Table<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        &mut self.0[id as usize]
    }
}

/// Four billion of anything in here are more than there is memory for.
fn id(at: usize) -> Id {
    Id::try_from(at).unwrap_or(Id::MAX)
}
