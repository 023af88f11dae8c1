//! Requirements as policy.json knows them: all of a list, each met by a
//! signature of any one of some keys.
//!
//! That is a formula in conjunctive normal form over "this key signed it
//! under a name that agrees". Whatever is built from `signed` checks by *and*,
//! *or* and *k of n* has such a form.

use std::collections::BTreeSet;

use crate::evidence::KeyId;

/// What a scope of policy.json asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Requirement {
    /// Nothing is allowed.
    Reject,
    /// All of these; of none of them, everything is allowed.
    All(BTreeSet<Clause>),
}

/// One entry of a list: some key of `keys` signed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clause {
    pub(super) keys: BTreeSet<KeyId>,
    pub(super) identity: Identity,
}

/// How the signed name must agree with the requested one (`signedIdentity`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    /// `matchRepository`
    Repository,
    /// `matchRepoDigestOrExact`
    ExactOrDigest,
    /// `matchExact`
    Exact,
    /// `remapIdentity`, and then as `matchRepoDigestOrExact`.
    Remapped {
        /// Prefix of the requested name.
        prefix: String,
        /// What it was when the image was signed.
        signed: String,
    },
}

/// A formula has more clauses than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Requirement {
    /// Everything is allowed.
    pub(super) fn nothing() -> Self {
        Self::All(BTreeSet::new())
    }

    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Reject, _) | (_, Self::Reject) => Self::Reject,
            (Self::All(mut all), Self::All(more)) => {
                all.extend(more);
                Self::All(without_implied(all))
            }
        }
    }

    /// At least `at_least` of `parts` that have no key in common, all for
    /// `identity`: of every n - k + 1 of them, one.
    pub(super) fn threshold(
        at_least: usize,
        parts: &[BTreeSet<KeyId>],
        identity: &Identity,
        most: usize,
    ) -> Result<Self, TooLarge> {
        // who has no key left signs nothing
        let parts: Vec<_> = parts.iter().filter(|keys| !keys.is_empty()).collect();
        if parts.len() < at_least {
            return Ok(Self::Reject);
        }
        let size = parts.len() + 1 - at_least.max(1);
        let mut all = BTreeSet::new();
        for chosen in subsets(parts.len(), size, most)? {
            let keys = chosen.into_iter().filter_map(|at| parts.get(at)).copied().flatten();
            all.insert(Clause { keys: keys.cloned().collect(), identity: identity.clone() });
        }
        Ok(Self::All(all))
    }

    /// Whether what meets this meets `other` too, as far as the clauses show.
    pub(super) fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reject, _) => true,
            (Self::All(_), Self::Reject) => false,
            (Self::All(all), Self::All(wanted)) => {
                wanted.iter().all(|want| all.iter().any(|clause| clause.implies(want)))
            }
        }
    }

    /// The clauses, where it asks for signatures.
    pub(super) fn clauses(&self) -> impl Iterator<Item = &Clause> {
        match self {
            Self::Reject => None,
            Self::All(clauses) => Some(clauses),
        }
        .into_iter()
        .flatten()
    }
}

/// Either of two; `None` where a clause would need two ways to agree with a
/// name, which policy.json does not have.
pub(super) fn either(
    one: Requirement,
    other: Requirement,
    most: usize,
) -> Result<Option<Requirement>, TooLarge> {
    let (one, other) = match (one, other) {
        (Requirement::Reject, it) | (it, Requirement::Reject) => return Ok(Some(it)),
        (Requirement::All(one), Requirement::All(other)) => (one, other),
    };
    if one.len().saturating_mul(other.len()) > most {
        return Err(TooLarge);
    }
    let mut all = BTreeSet::new();
    for a in &one {
        for b in &other {
            if a.identity != b.identity {
                return Ok(None);
            }
            let keys = a.keys.union(&b.keys).cloned().collect();
            all.insert(Clause { keys, identity: a.identity.clone() });
        }
    }
    Ok(Some(Requirement::All(without_implied(all))))
}

impl Clause {
    fn implies(&self, other: &Self) -> bool {
        self.keys.is_subset(&other.keys) && self.identity.implies(&other.identity)
    }
}

impl Identity {
    /// Whether every name that agrees so agrees in the other way too.
    fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Repository | Self::ExactOrDigest | Self::Exact, Self::Repository)
            | (Self::ExactOrDigest | Self::Exact, Self::ExactOrDigest)
            | (Self::Exact, Self::Exact) => true,
            (Self::Remapped { .. }, Self::Remapped { .. }) => self == other,
            (
                Self::Repository | Self::ExactOrDigest | Self::Exact | Self::Remapped { .. },
                Self::Repository | Self::ExactOrDigest | Self::Exact | Self::Remapped { .. },
            ) => false,
        }
    }
}

/// Drops what another clause already asks for.
fn without_implied(all: BTreeSet<Clause>) -> BTreeSet<Clause> {
    let needed = |clause: &&Clause| !all.iter().any(|by| by != *clause && by.implies(clause));
    all.iter().filter(needed).cloned().collect()
}

/// Every choice of `size` out of `count`, if there are at most `most`.
fn subsets(count: usize, size: usize, most: usize) -> Result<Vec<Vec<usize>>, TooLarge> {
    let mut chosen = vec![Vec::new()];
    for at in 0..count {
        let rest = count - at - 1;
        let mut next = Vec::new();
        for choice in chosen {
            if choice.len() < size {
                next.push([choice.as_slice(), &[at]].concat());
            }
            // only what can still be filled
            if choice.len() + rest >= size {
                next.push(choice);
            }
        }
        // each can still be filled, in a way of its own
        if next.len() > most {
            return Err(TooLarge);
        }
        chosen = next;
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn keys(names: &str) -> BTreeSet<KeyId> {
        names.chars().map(|c| KeyId(Digest::sha256(c.to_string().as_bytes()))).collect()
    }

    fn all(clauses: &[&str]) -> Requirement {
        let clause = |names: &&str| Clause { keys: keys(names), identity: Identity::Repository };
        Requirement::All(clauses.iter().map(clause).collect())
    }

    fn at_least(n: usize, signers: &[&str]) -> Requirement {
        let parts: Vec<_> = signers.iter().map(|names| keys(names)).collect();
        Requirement::threshold(n, &parts, &Identity::Repository, 100).unwrap()
    }

    #[test]
    fn so_many_of_so_many_is_one_of_every_few() {
        assert_eq!(at_least(1, &["ab", "c"]), all(&["abc"]));
        assert_eq!(at_least(2, &["a", "b"]), all(&["a", "b"]));
        assert_eq!(at_least(2, &["a", "b", "c"]), all(&["ab", "ac", "bc"]));
        assert_eq!(at_least(2, &["a", "", ""]), Requirement::Reject);
        let many: Vec<_> = "abcdefghijklmnop".chars().map(|c| keys(&c.to_string())).collect();
        let eight = Requirement::threshold(8, &many, &Identity::Exact, 256);
        assert_eq!(eight, Err(TooLarge));
    }

    /// Against counting, for every set of signatures.
    #[test]
    fn thresholds_count() {
        let signers = ["a", "bc", "d", "e"];
        for n in 1..=4 {
            let Requirement::All(clauses) = at_least(n, &signers) else { panic!("{n}") };
            for signed in 0..32u32 {
                let by: String = "abcde"
                    .chars()
                    .enumerate()
                    .filter(|(i, _)| signed >> i & 1 == 1)
                    .map(|c| c.1)
                    .collect();
                let counted = signers.iter().filter(|s| s.contains(|c| by.contains(c))).count();
                let met = clauses.iter().all(|c| !c.keys.is_disjoint(&keys(&by)));
                assert_eq!(met, counted >= n, "{n} {by}");
            }
        }
    }

    #[test]
    fn either_is_distributed_and_what_follows_is_dropped() {
        let both = either(all(&["a", "b"]), all(&["a"]), 100).unwrap().unwrap();
        assert_eq!(both, all(&["a"]));
        assert_eq!(either(all(&["a", "b"]), all(&["c"]), 100).unwrap(), Some(all(&["ac", "bc"])));
        let exact = Requirement::threshold(1, &[keys("c")], &Identity::Exact, 9).unwrap();
        assert_eq!(either(all(&["a"]), exact.clone(), 100).unwrap(), None);
        assert!(exact.implies(&all(&["cd"])) && !all(&["cd"]).implies(&exact));
        assert_eq!(
            either(all(&["a"]), Requirement::nothing(), 9).unwrap(),
            Some(Requirement::nothing())
        );
        assert_eq!(either(all(&["a", "b"]), all(&["c", "d"]), 3), Err(TooLarge));
    }
}
