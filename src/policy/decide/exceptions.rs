//! Checks that are waived for a while, and what a waiver must leave.

use std::collections::BTreeMap;

use crate::policy::{Check, CheckKind, Exception, Target};

use super::Context;

/// The exceptions that are live now and apply to this image, for one rule.
pub(super) struct Waivers<'a> {
    by_check: BTreeMap<&'a str, Vec<&'a Exception>>,
}

impl<'a> Waivers<'a> {
    pub(super) fn live(context: &Context<'a>, rule: &str) -> Self {
        let mut by_check: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for exception in &context.document().exceptions {
            if !applies(exception, context) {
                continue;
            }
            for (_, check) in exception.waive.iter().filter(|(of, _)| of == rule) {
                by_check.entry(check.as_str()).or_default().push(exception);
            }
        }
        for list in by_check.values_mut() {
            list.sort_by(|a, b| a.id.cmp(&b.id));
        }
        Self { by_check }
    }

    /// Names of the exceptions that waive `check`; empty where none does.
    pub(super) fn of(&self, check: &str) -> Vec<String> {
        self.by_check.get(check).into_iter().flatten().map(|e| e.id.clone()).collect()
    }

    /// Whether waivers took the last proof of origin out of `checks`, and no
    /// exception says that this is accepted.
    ///
    /// What never had a proof, as a branch beside a `signed` check may, loses
    /// none.
    pub(super) fn leave_unproven(&self, checks: &[Check]) -> bool {
        let waivers = self.touching(checks);
        if waivers.is_empty() || waivers.iter().any(|exception| exception.accept_unsigned) {
            return false;
        }
        let unwaived = Self { by_check: BTreeMap::new() };
        unwaived.prove(checks) && !self.prove(checks)
    }

    /// Whether every way through what is left of `checks` has a proof.
    fn prove(&self, checks: &[Check]) -> bool {
        checks.iter().filter(|check| !self.waives(check)).any(|check| match &check.kind {
            CheckKind::Signed(_) => true,
            CheckKind::Image(_) => false,
            CheckKind::AnyOf(branches) => {
                // a branch that lost its proof cannot hold, so it is no way
                let ways = branches.iter().filter(|branch| !self.leave_unproven(branch));
                let mut ways = ways.peekable();
                ways.peek().is_some() && ways.all(|branch| self.prove(branch))
            }
        })
    }

    fn waives(&self, check: &Check) -> bool {
        self.by_check.contains_key(check.id.as_str())
    }

    /// The exceptions that waive something in `checks`, at any nesting.
    fn touching(&self, checks: &[Check]) -> Vec<&'a Exception> {
        let mut found = Vec::new();
        for check in checks {
            found.extend(self.by_check.get(check.id.as_str()).into_iter().flatten());
            match &check.kind {
                CheckKind::AnyOf(branches) => {
                    found.extend(branches.iter().flat_map(|branch| self.touching(branch)));
                }
                CheckKind::Signed(_) | CheckKind::Image(_) => {}
            }
        }
        found
    }
}

/// Live in [from, until): outside of it an exception does not exist.
fn applies(exception: &Exception, context: &Context<'_>) -> bool {
    let live = exception.from <= context.now && context.now < exception.until;
    live && match &exception.target {
        Target::Scope(scopes) => {
            scopes.iter().any(|scope| scope.matches(context.request.reference.repository()))
        }
        Target::Digests(digests) => digests.contains(&context.request.digest),
    }
}
