//! Random choices that can be made again: a schedule is drawn from one number, which a failing test prints.

use std::time::{SystemTime, UNIX_EPOCH};

/// Names the number that a schedule is drawn from, to play one again.
pub const VARIABLE: &str = "SKEIN_SEED";

/// A source of choices (splitmix64).
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// The seed that the environment names, else one of this moment. Prints it: a test that fails shows what it printed.
    ///
    /// # Panics
    /// When the environment names something that is no number.
    #[must_use]
    pub fn from_environment() -> Self {
        let number: u32 = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is no number: {text}")),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos()),
        };
        eprintln!("{VARIABLE}={number}");
        Self(u64::from(number))
    }

    /// The seed of this number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// A source of its own, so that who draws more does not change what others draw.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// Any number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or_default()
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.below(of.len() as u64);
        &of[usize::try_from(at).unwrap_or_default()]
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
