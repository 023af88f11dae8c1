//! L13, and what a policy should say about itself.

use std::collections::BTreeSet;

use super::{Lint, all_checks, all_rules};
use crate::policy::model::{Blob, CheckKind, Policy};

pub(super) fn lint(policy: &Policy, lints: &mut Vec<Lint>) {
    signers(policy, lints);
    schemas(policy, lints);
    missing(policy, lints);
}

fn signers(policy: &Policy, lints: &mut Vec<Lint>) {
    let mut used = BTreeSet::new();
    for (rule, _) in all_rules(policy) {
        for check in all_checks(rule) {
            if let CheckKind::Signed(signed) = &check.kind {
                used.extend(signed.by.iter());
            }
        }
    }
    for name in policy.document().signers.keys().filter(|n| !used.contains(n)) {
        let message = format!("no check names the signer `{name}`; remove it or use it");
        lints.push(Lint::new("L13", format!("/signers/{name}"), message));
    }
}

fn schemas(policy: &Policy, lints: &mut Vec<Lint>) {
    let document = policy.document();
    for name in document.schemas.keys().filter(|n| !document.schemas_used.contains(*n)) {
        let message = format!("nothing refers to the schema `{name}`; remove it or use it");
        lints.push(Lint::new("L13", format!("/schemas/{name}"), message));
    }
}

fn missing(policy: &Policy, lints: &mut Vec<Lint>) {
    let document = policy.document();
    for (code, absent, why) in [
        ("serial", document.serial.is_none(), "editions cannot be told apart"),
        ("issued", document.issued.is_none(), "it is valid at any time before"),
        ("expires", document.expires.is_none(), "it is valid for ever"),
    ] {
        if absent {
            let message = format!("the policy has no `{code}`: {why}; add it");
            lints.push(Lint::new(code, "", message));
        }
    }
    for (name, signer) in &document.signers {
        for (place, source) in signer.sources() {
            if let Blob::File { path, sha256: None } = source {
                let message =
                    format!("whoever can write `{path}` can replace the key; add its `sha256`");
                lints.push(Lint::new("sha256", format!("/signers/{name}/{place}"), message));
            }
        }
    }
}
