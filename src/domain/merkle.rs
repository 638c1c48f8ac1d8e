//! The ledger's Merkle tree: RFC 6962 hashes, and a frontier that grows leaf by leaf.

use sha2::{Digest, Sha256};

use crate::planted;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of one entry. The prefix keeps a leaf from posing as a node (RFC 6962, section 2.1).
pub fn leaf_hash(line: &[u8]) -> Hash {
    let prefix: &[u8] = if planted::is("leaf-without-prefix") {
        &[]
    } else {
        &[0]
    };
    Sha256::new()
        .chain_update(prefix)
        .chain_update(line)
        .finalize()
        .into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// A growing tree, reduced to what its root needs: the root of each perfect subtree, largest first.
///
/// There is one node for each bit that is set in `size`; so the memory is bounded and a leaf costs two hashes on average.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts together what was kept; `None` when there are not as many nodes as the size asks for.
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (nodes.len() == size.count_ones() as usize).then_some(Self { size, nodes })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees, largest first.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.nodes.pop().expect("one node for each set bit of size");
            node = node_hash(&left, &node);
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(smallest) = nodes.next() else {
            return Sha256::digest([]).into();
        };
        nodes.fold(*smallest, |root, left| node_hash(left, &root))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// RFC 6962 as it defines the root: split at the largest power of two below the size.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => Sha256::digest([]).into(),
            1 => leaves[0],
            n => {
                let split = n.next_power_of_two() / 2;
                node_hash(
                    &root_by_definition(&leaves[..split]),
                    &root_by_definition(&leaves[split..]),
                )
            }
        }
    }

    #[test]
    fn the_roots_are_those_of_certificate_transparency() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let mut tree = Frontier::new();
        for leaf in leaves {
            tree.push(leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap()));
        }
        assert_eq!(
            HEXLOWER.encode(&tree.root()),
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        );
    }

    #[test]
    fn the_frontier_gives_the_root_by_definition_at_every_size() {
        let mut tree = Frontier::new();
        let mut leaves = Vec::new();
        for n in 0_u32..200 {
            assert_eq!(tree.root(), root_by_definition(&leaves), "size {n}");
            let kept = Frontier::from_parts(tree.size(), tree.nodes().to_vec());
            assert_eq!(kept.as_ref(), Some(&tree));
            leaves.push(leaf_hash(&n.to_be_bytes()));
            tree.push(leaf_hash(&n.to_be_bytes()));
        }
    }

    #[test]
    fn a_frontier_with_too_few_nodes_is_refused() {
        assert_eq!(Frontier::from_parts(3, vec![[0; 32]]), None);
    }
}
