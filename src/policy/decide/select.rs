//! Which rules apply to a name, and what they ask for before any evidence is
//! fetched.

use crate::image::{Depth, Digest, Repository, Shape};
use crate::policy::scope::Scope;
use crate::policy::{Action, Check, CheckKind, Document, On, Policy, Request, Rule};

use super::tree::Tree;

/// A rule with the scope of it that matched.
pub type Matched<'a> = (&'a Rule, &'a Scope);

/// The rules that judge one repository.
#[derive(Debug, Clone)]
pub struct Selected<'a> {
    /// The entry of `rules` with the most specific matching scope.
    pub rule: Option<Matched<'a>>,
    /// Every matching entry of `baseline`, by id.
    pub baseline: Vec<Matched<'a>>,
}

impl<'a> Selected<'a> {
    /// Selects by scope, whatever the order of the document.
    pub fn of(document: &'a Document, repository: &Repository) -> Self {
        let matched = |rule: &'a Rule| narrowest(rule, repository).map(|scope| (rule, scope));
        let mut baseline: Vec<_> = document.baseline.iter().filter_map(matched).collect();
        baseline.sort_by(|a, b| a.0.id.cmp(&b.0.id));
        // two matching scopes are nested (others are refused at load), so
        // "narrower" leaves exactly one
        let rule = document
            .rules
            .iter()
            .filter_map(matched)
            .reduce(|best, next| if best.1.contains(next.1) { next } else { best });
        Self { rule, baseline }
    }

    fn rules(&self) -> impl Iterator<Item = &'a Rule> {
        self.rule.iter().chain(&self.baseline).map(|(rule, _)| *rule)
    }
}

fn narrowest<'a>(rule: &'a Rule, repository: &Repository) -> Option<&'a Scope> {
    rule.scope
        .iter()
        .filter(|scope| scope.matches(repository))
        .reduce(|best, next| if best.contains(next) { next } else { best })
}

/// How deep the policy wants an image of `repository` recomputed; `None`
/// where it leaves that to the caller.
///
/// An exception does not lower it: it is asked before anything is fetched.
pub fn required_depth(policy: &Policy, repository: &Repository) -> Option<Depth> {
    let selected = Selected::of(policy.document(), repository);
    checks(&selected)
        .filter_map(|check| match &check.kind {
            CheckKind::Image(image) => image.depth,
            CheckKind::Signed(_) | CheckKind::AnyOf(_) => None,
        })
        .max()
}

/// The nodes whose signatures the policy wants to see for this request: the
/// root, and with `on: each` or `covering` the leaves and what is above them.
pub fn wanted_subjects(policy: &Policy, request: &Request, shape: &Shape) -> Vec<Digest> {
    let selected = Selected::of(policy.document(), request.reference.repository());
    let tree = Tree::new(shape);
    let mut nodes = Vec::new();
    for check in checks(&selected) {
        let CheckKind::Signed(signed) = &check.kind else { continue };
        nodes.extend(targets(&tree, signed.on).into_iter().flatten());
    }
    nodes.sort_unstable();
    nodes.dedup();
    let mut wanted = vec![request.digest.clone()];
    for digest in nodes.into_iter().filter_map(|at| tree.node(at)?.digest.parse().ok()) {
        if !wanted.contains(&digest) {
            wanted.push(digest);
        }
    }
    wanted
}

/// For each thing that must be signed, the nodes on which a signature covers
/// it. Empty where there is nothing to sign, which no check survives.
pub(super) fn targets(tree: &Tree<'_>, on: On) -> Vec<Vec<usize>> {
    match on {
        On::Root => tree.node(0).map(|_| vec![0]).into_iter().collect(),
        On::Each => tree.leaves().into_iter().map(|leaf| vec![leaf]).collect(),
        On::Covering => tree.leaves().into_iter().map(|leaf| tree.with_ancestors(leaf)).collect(),
    }
}

/// Every check of the rules, at any nesting.
fn checks<'a>(selected: &Selected<'a>) -> impl Iterator<Item = &'a Check> {
    let mut todo: Vec<&'a Check> = Vec::new();
    for rule in selected.rules() {
        match &rule.action {
            Action::Require { checks, .. } => todo.extend(checks),
            Action::Accept { .. } | Action::Reject { .. } => {}
        }
    }
    std::iter::from_fn(move || {
        let check = todo.pop()?;
        if let CheckKind::AnyOf(branches) = &check.kind {
            todo.extend(branches.iter().flatten());
        }
        Some(check)
    })
}
