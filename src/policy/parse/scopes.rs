//! No two entries of `rules` compete for one repository.

use std::collections::BTreeMap;

use super::problem::Code;
use super::reader::Reader;
use crate::policy::json::Json;
use crate::policy::scope::Scope;

/// A scope with the rule that it stands in.
struct Placed<'a> {
    scope: Scope,
    node: &'a Json,
    rule: usize,
    id: &'a str,
}

/// Refuses equal scopes in two rules, and wildcards that cross.
///
/// Two scopes are nested or disjoint, so that the most specific one is
/// unique, but for `*.b.example/**` beside `*.example:5000/**`.
pub(super) fn check(reader: &mut Reader, root: &Json) {
    let placed = placed(root);
    let mut first: BTreeMap<&Scope, &Placed<'_>> = BTreeMap::new();
    for one in &placed {
        match first.get(&one.scope) {
            Some(other) if other.rule != one.rule => reader.bad(
                Code::Scope,
                one.node,
                format!("the rules `{}` and `{}` have the same scope", other.id, one.id),
                "one rule decides for a scope; join them, or move one to `baseline`",
            ),
            Some(_) => {}
            None => {
                first.insert(&one.scope, one);
            }
        }
    }
    crossing(reader, &placed);
}

/// Only a wildcard without a port and one with a port on a wider domain can
/// cross; looked up by domain, so that many scopes cost little.
fn crossing(reader: &mut Reader, placed: &[Placed<'_>]) {
    let mut ported: BTreeMap<&str, Vec<&Placed<'_>>> = BTreeMap::new();
    for one in placed {
        if let Scope::SubDomains { host, port: Some(_) } = &one.scope {
            ported.entry(host).or_default().push(one);
        }
    }
    for one in placed {
        let Scope::SubDomains { host, port: None } = &one.scope else { continue };
        let wider = domains(host).filter_map(|d| ported.get(d)).flatten();
        if let Some(other) =
            wider.into_iter().find(|o| o.rule != one.rule && o.scope.crosses(&one.scope))
        {
            reader.bad(
                Code::Scope,
                one.node,
                format!(
                    "the scopes `{}` of rule `{}` and `{}` of rule `{}` cross, so that neither is \
                     the more specific one",
                    one.scope, one.id, other.scope, other.id
                ),
                "write a port in both or in neither",
            );
        }
    }
}

fn domains(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(host.split_once('.').map(|(_, up)| up), |d| {
        d.split_once('.').map(|(_, up)| up)
    })
}

fn placed(root: &Json) -> Vec<Placed<'_>> {
    let rules = root.get("rules").map(Json::items).unwrap_or_default();
    let mut placed = Vec::new();
    for (rule, node) in rules.iter().enumerate() {
        let id = node.get("id").and_then(Json::as_str).unwrap_or_default();
        for item in node.get("scope").map(Json::items).unwrap_or_default() {
            if let Some(Ok(scope)) = item.as_str().map(Scope::parse) {
                placed.push(Placed { scope, node: item, rule, id });
            }
        }
    }
    placed
}
