//! `P` and `P/**` made one, as they are to policy.json.

use std::collections::BTreeSet;

use crate::policy::Policy;
use crate::policy::scope::Scope;

/// The policy in which a rule for a repository holds for the names below it
/// too, and the reverse, where these have no rule.
pub(super) fn widened(policy: &Policy) -> Policy {
    let mut wide = policy.clone();
    let document = &mut wide.document;
    let taken: BTreeSet<_> = document.rules.iter().flat_map(|rule| rule.scope.clone()).collect();
    for rule in &mut document.rules {
        let others: Vec<_> = rule.scope.iter().filter_map(counterpart).collect();
        rule.scope.extend(others.into_iter().filter(|scope| !taken.contains(scope)));
    }
    wide
}

/// The repository of a subtree, or the subtree of a repository.
fn counterpart(scope: &Scope) -> Option<Scope> {
    match scope {
        Scope::Exactly(repository) => Some(Scope::Below {
            host: repository.host().to_owned(),
            path: repository.path().to_owned(),
        }),
        // `docker.io/me` is no repository, so nothing is lost without it
        Scope::Below { host, path } => Scope::parse(&format!("{host}/{path}")).ok(),
        Scope::Everything | Scope::SubDomains { .. } | Scope::Host(_) => None,
    }
}
