//! The number by which the processes of a home name it. A home makes its number from its lock file, and a helper carries it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A home, as its processes name it. A copy of a home has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HomeTag(u64);

impl HomeTag {
    /// Bits of the number, so that a resource limit can have it: the highest bits stand for "unlimited" in some programs'
    /// arithmetic.
    pub const BITS: u32 = 62;

    /// Of whatever makes the home different from every other.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let number = hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        // Never 0, which some programs set.
        Self(number & ((1 << Self::BITS) - 1) | 1)
    }

    /// The mark with a number that was read from a process. It may be no home's.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for HomeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_differ_by_every_part() {
        let all = [HomeTag::of(&[b"ab", b"c"]), HomeTag::of(&[b"a", b"bc"]), HomeTag::of(&[b"abc"])];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }
}
