//! Where a key stands: below which leaf of the digest tree, and where within the table there.
//!
//! Both follow from a hash of the key, and clients choose the keys. The obvious choice, a fast hash that everybody can
//! compute, lets a client choose hashes too: fast hashes can be turned round. A million keys below one leaf make its
//! list longer than any message, so nodes can no longer compare it. A hundred thousand keys with the *same* hash stand
//! in one chain of a table, and every look at one of them walks along it.
//!
//! So the hash is a keyed one, made for this: SipHash-1-3 (Aumasson & Bernstein, "SipHash: a fast short-input PRF",
//! 2012; Crosby & Wallach, "Denial of Service via Algorithmic Complexity Attacks", 2003, describe the attack).
//!
//! - *Below which leaf* must be the same on all nodes, or they could not compare. So the key comes from the secret of
//!   the cluster. A cluster without a secret uses a key that everybody knows: then somebody who computes for a while
//!   finds many keys of one leaf, but hardly two of one hash. A round therefore compares a leaf in parts, if it is
//!   long.
//! - *Where in the table* is this process's own business: a random seed is mixed in, which no client can know.

use siphasher::sip::SipHasher13;

/// The key that everybody knows.
const PUBLIC_KEY: [u8; 16] = *b"kvstore no key!!";

/// Where a key stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The hash of the key, the same on every node of the cluster. It names the leaf, and orders a scan.
    pub(super) hash: u64,
    /// What a table of this process gets as the hash.
    pub(super) spread: u64,
}

/// How one process places its keys.
#[derive(Clone, Copy)]
pub struct Placement {
    /// The two halves of the key.
    key: (u64, u64),
    /// What is added to a hash, bit by bit, and by what it is multiplied then. This is odd, so that no bit is lost.
    seed: (u64, u64),
}

impl Placement {
    /// Places keys by `key`, the same on all nodes (`None`: as in a cluster without a secret), and within a table by
    /// `seed`, which only this process knows.
    pub fn new(key: Option<[u8; 16]>, seed: [u8; 16]) -> Self {
        let halves = |bytes: [u8; 16]| {
            let number = u128::from_le_bytes(bytes);
            (number as u64, (number >> 64) as u64)
        };
        let (xor, factor) = halves(seed);
        Self { key: halves(key.unwrap_or(PUBLIC_KEY)), seed: (xor, factor | 1) }
    }

    /// The hash of a key, the same on every node of the cluster. It names the leaf, and orders a scan.
    pub fn hash(&self, key: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.key.0, self.key.1).hash(key)
    }

    /// A number that two nodes have in common if they place keys alike. It follows from the secret alone, so secrets
    /// can be tried against it: nobody may see it who has not proved the secret.
    pub fn fingerprint(&self) -> u64 {
        self.hash(b"placement")
    }

    /// The place of a key.
    pub(super) fn place(&self, key: &[u8]) -> Place {
        self.place_of(self.hash(key))
    }

    /// The place of all keys with this hash. A table gets the product with the seed, its two halves folded. All bits
    /// count, which a table needs as well: below one leaf, the topmost bits of all hashes are the same.
    pub(super) fn place_of(&self, hash: u64) -> Place {
        let product = u128::from(hash ^ self.seed.0) * u128::from(self.seed.1);
        Place { hash, spread: product as u64 ^ (product >> 64) as u64 }
    }
}

/// For tests, and wherever nobody chooses keys to do harm: everything can be foreseen.
impl Default for Placement {
    fn default() -> Self {
        Self::new(None, *b"a seed for tests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_with_the_same_key_agree_whatever_their_seeds_and_others_do_not() {
        let (one, two) = (Placement::new(Some([1; 16]), [2; 16]), Placement::new(Some([1; 16]), [3; 16]));
        let other = Placement::new(Some([2; 16]), [2; 16]);
        assert_eq!((one.hash(b"key"), one.fingerprint()), (two.hash(b"key"), two.fingerprint()));
        assert_ne!(one.hash(b"key"), other.hash(b"key"));
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_ne!(one.place_of(7).spread, two.place_of(7).spread, "a table's order is the process's own");
    }

    #[test]
    fn both_halves_of_a_seed_and_all_bits_of_a_hash_count_in_a_table() {
        let spread = |xor: u64, factor: u64, hash: u64| {
            let seed = u128::from(xor) | u128::from(factor) << 64;
            Placement::new(None, seed.to_le_bytes()).place_of(hash).spread
        };
        assert_ne!(spread(1, 5, 7), spread(2, 5, 7));
        assert_ne!(spread(1, 5, 7), spread(1, 9, 7));
        assert_ne!(spread(0, 0, 7), spread(0, 0, 8), "a factor of nothing would put all keys in one place");
        // Tables take the lower bits: without the upper half of the product, the upper bits of a hash would not count.
        let factor = 0x9E37_79B9_7F4A_7C15;
        assert_ne!(spread(1, factor, 7) & 0xFFFF, spread(1, factor, 7 | 0xFFFF << 48) & 0xFFFF);
    }

    #[test]
    fn the_hash_of_a_cluster_without_a_secret_never_changes() {
        assert_eq!(Placement::default().hash(b"key"), Placement::new(None, [5; 16]).hash(b"key"));
        assert_eq!(Placement::default().hash(b""), PINNED);
    }

    /// If this changes, nodes of two builds disagree about every leaf: raise the version of the protocol.
    const PINNED: u64 = 13_009_021_583_688_694_017;
}
