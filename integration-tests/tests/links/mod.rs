//! A client whose link is slow, stalls or is dead: it is carried as far as it can be, and nobody else waits for it.

mod dead;
mod slow;
