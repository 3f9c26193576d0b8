//! The number that tags the processes of a home. A home derives it from its lock file, and every helper process
//! carries it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The tag of a home. A copy of the home has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HomeTag(u64);

impl HomeTag {
    /// Bits of the number, so that it fits a resource limit: some programs take the highest bits for "unlimited".
    pub const BITS: u32 = 62;

    /// Hashes the parts that distinguish the home from every other.
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

    /// The tag with a number read from a process. It may belong to no home.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number.
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
