//! How often each fault struck and each switch decided something, for a table of what a simulation has covered.
//!
//! A switch is counted where its setting made a difference to what happened or was answered, whichever setting that
//! was; one that is off and does nothing is not counted.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Counters by name. Counting needs no exclusive borrow, so that it can stand where the decision is made.
#[derive(Debug, Default)]
pub(crate) struct Hits(RefCell<BTreeMap<&'static str, u64>>);

impl Hits {
    /// Counts one.
    pub(crate) fn add(&self, name: &'static str) {
        *self.0.borrow_mut().entry(name).or_default() += 1;
    }

    /// Counts one if something was decided, and says whether it was.
    pub(crate) fn when(&self, name: &'static str, decided: bool) -> bool {
        if decided {
            self.add(name);
        }
        decided
    }

    /// Adds all counters to `sum`.
    pub(crate) fn add_to(&self, sum: &mut BTreeMap<&'static str, u64>) {
        for (name, count) in self.0.borrow().iter() {
            *sum.entry(name).or_default() += count;
        }
    }
}
