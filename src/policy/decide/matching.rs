//! Signers to distinct keys: maximum bipartite matching.
//!
//! Counting signatures would let one person count twice, and counting keys
//! greedily would deny where another assignment holds: with `ana` owning k1
//! and k2 and `bo` owning k1, giving k1 to `ana` first leaves nothing to `bo`.

use std::collections::{BTreeMap, BTreeSet};

/// Matches as many left nodes as possible to distinct right nodes. The same
/// edges give the same matching, whatever their order.
///
/// Kuhn's augmenting paths; at most 16 signers and a few keys each.
pub(super) fn matching<L, R>(edges: &BTreeSet<(L, R)>) -> BTreeMap<L, R>
where
    L: Ord + Copy,
    R: Ord + Copy,
{
    let mut neighbours: BTreeMap<L, Vec<R>> = BTreeMap::new();
    for (left, right) in edges {
        neighbours.entry(*left).or_default().push(*right);
    }
    let mut taken: BTreeMap<R, L> = BTreeMap::new();
    for left in neighbours.keys() {
        augment(*left, &neighbours, &mut taken, &mut BTreeSet::new());
    }
    taken.into_iter().map(|(right, left)| (left, right)).collect()
}

/// Finds a place for `left`, moving those who have one where that helps.
fn augment<L, R>(
    left: L,
    neighbours: &BTreeMap<L, Vec<R>>,
    taken: &mut BTreeMap<R, L>,
    seen: &mut BTreeSet<R>,
) -> bool
where
    L: Ord + Copy,
    R: Ord + Copy,
{
    for right in neighbours.get(&left).into_iter().flatten() {
        if !seen.insert(*right) {
            continue;
        }
        let free = match taken.get(right).copied() {
            None => true,
            Some(owner) => augment(owner, neighbours, taken, seen),
        };
        if free {
            taken.insert(*right, left);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_key_is_left_to_whom_it_is_the_only_one() {
        let edges = BTreeSet::from([("ana", 1), ("ana", 2), ("bo", 1)]);
        assert_eq!(matching(&edges), BTreeMap::from([("ana", 2), ("bo", 1)]));
    }

    #[test]
    fn one_key_counts_once_and_one_signer_counts_once() {
        assert_eq!(matching(&BTreeSet::from([("ana", 1), ("bo", 1)])).len(), 1);
        assert_eq!(matching(&BTreeSet::from([("ana", 1), ("ana", 2)])).len(), 1);
        assert_eq!(matching(&BTreeSet::<(u8, u8)>::new()).len(), 0);
    }

    #[test]
    fn a_chain_of_moves_is_followed() {
        let edges = BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 3), (3, 1), (4, 2), (4, 4)]);
        assert_eq!(matching(&edges).len(), 4);
    }

    /// The most pairs, by trying everything.
    fn most(edges: &[(u8, u8)]) -> usize {
        let Some(((left, right), rest)) = edges.split_first() else { return 0 };
        let apart = |edge: &&(u8, u8)| edge.0 != *left && edge.1 != *right;
        let others: Vec<_> = rest.iter().filter(apart).copied().collect();
        most(rest).max(1 + most(&others))
    }

    proptest::proptest! {
        #[test]
        fn no_assignment_matches_more(
            edges in proptest::collection::btree_set((0..6u8, 0..6u8), 0..11)
        ) {
            let matched = matching(&edges);
            let list: Vec<_> = edges.iter().copied().collect();
            proptest::prop_assert_eq!(matched.len(), most(&list));
            let rights: BTreeSet<_> = matched.values().collect();
            proptest::prop_assert_eq!(rights.len(), matched.len());
            proptest::prop_assert!(matched.into_iter().all(|pair| edges.contains(&pair)));
        }
    }
}
