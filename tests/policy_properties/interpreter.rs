//! What a policy means, said as plainly as can be: the page on the policy
//! language, sentence by sentence, with no thought for speed.
//!
//! It shares the data types with the engine and none of its code. Where the
//! engine matches, it tries everything; where the engine keeps tables, it
//! looks again.

use ocisign::evidence::{Facts, Signer, Statement};
use ocisign::image::{Depth, Node, NodeKind, NodeState, Platform, Reference, Repository};
use ocisign::policy::scope::Scope;
use ocisign::policy::{
    Action, Check, CheckKind, Decision, Document, Exception, ImageCheck, On, Policy, ReferenceRule,
    Revoked, Row, Rule, Signed, SignerDecl, Target,
};

use crate::generate::World;

/// What the engine must agree with.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    pub decision: Decision,
    pub row: Row,
    pub rule: Option<String>,
    pub would_deny: Vec<String>,
}

pub fn meaning(policy: &Policy, world: &World) -> Meaning {
    Judge { policy, document: policy.document(), world }.meaning()
}

struct Judge<'a> {
    policy: &'a Policy,
    document: &'a Document,
    world: &'a World,
}

impl<'a> Judge<'a> {
    fn meaning(&self) -> Meaning {
        let answer = |decision, row| Meaning { decision, row, rule: None, would_deny: vec![] };
        let (now, nodes) = (self.world.now, &self.world.shape.nodes);
        // row 0
        if self.document.expires.is_some_and(|at| now >= at) {
            return answer(Decision::Deny, Row::PolicyExpired);
        }
        let five_minutes = jiff::SignedDuration::from_secs(300);
        if self.document.issued.is_some_and(|at| now < at - five_minutes) {
            return answer(Decision::Deny, Row::PolicyNotYetValid);
        }
        // row 1
        if nodes.iter().any(|node| wrong(&node.state)) {
            return answer(Decision::Deny, Row::Integrity);
        }
        // row 2
        let revoked = |node: &Node| {
            self.document.revoked.iter().any(|r| match &r.what {
                Revoked::Digest(digest) => digest.to_string() == node.digest,
                _ => false,
            })
        };
        if nodes.iter().any(revoked) {
            return answer(Decision::Deny, Row::Revoked);
        }
        // row 3
        let Some(rule) = self.rule() else { return answer(Decision::Deny, Row::NoRule) };
        let baseline: Vec<_> = self.document.baseline.iter().filter(|r| self.matches(r)).collect();
        let all: Vec<&Rule> = [rule].into_iter().chain(baseline).collect();
        // row 4
        let rejects = |rule: &Rule| matches!(rule.action, Action::Reject { .. });
        if all.iter().any(|rule| rejects(rule)) {
            let rule = rejects(rule).then(|| rule.id.clone());
            return Meaning { rule, ..answer(Decision::Deny, Row::Rejected) };
        }
        let answer = |decision, row| Meaning {
            rule: Some(rule.id.clone()),
            would_deny: self.would_deny(&all),
            ..answer(decision, row)
        };
        // how deep the tree must be known, and whether it is
        let depth = all.iter().filter_map(|rule| depth(rule)).chain([self.world.request.depth]);
        let depth = depth.max().unwrap();
        let unknown: Vec<&Node> = nodes.iter().filter(|node| unknown(node, depth)).collect();
        let external = |node: &&Node| {
            node.kind == NodeKind::Layer && matches!(node.state, NodeState::External(_))
        };
        let only_external = self.world.shape.depth >= depth && unknown.iter().all(external);
        let whole = self.world.request.incomplete.is_empty();
        // "all signatures count" shows what the image alone denies
        let holds = |signed| all.iter().all(|rule| self.holds(rule, depth, signed));
        if self.world.shape.depth < depth || !unknown.is_empty() {
            return match only_external && whole && !holds(true) {
                true => answer(Decision::Deny, Row::Checks),
                false => answer(Decision::Undecided, Row::Incomplete),
            };
        }
        // rows 5 to 7
        let loose = |node: &Node| matches!(node.state, NodeState::NotContentAddressed(_));
        let held = !nodes.iter().any(loose) || self.is_signed(&nodes[0]);
        match (holds(false), held, whole) {
            (true, true, _) => answer(Decision::Allow, Row::Holds),
            (_, _, false) => answer(Decision::Undecided, Row::Incomplete),
            (false, _, true) => answer(Decision::Deny, Row::Checks),
            (true, false, true) => answer(Decision::Deny, Row::NotContentAddressed),
        }
    }

    fn matches(&self, rule: &Rule) -> bool {
        rule.scope.iter().any(|s| s.matches(self.world.request.reference.repository()))
    }

    /// The entry one of whose matching scopes lies in all the matching scopes
    /// of the others.
    fn rule(&self) -> Option<&'a Rule> {
        let name = self.world.request.reference.repository();
        let all: Vec<(&Rule, &Scope)> = self
            .document
            .rules
            .iter()
            .flat_map(|rule| rule.scope.iter().map(move |scope| (rule, scope)))
            .filter(|(_, scope)| scope.matches(name))
            .collect();
        let least = |one: &Scope| all.iter().all(|(_, other)| other.contains(one));
        all.iter().find(|(_, scope)| least(scope)).map(|(rule, _)| *rule)
    }

    fn audited(&self, rule: &Rule) -> bool {
        match &rule.action {
            Action::Require { audit_until: Some(until), .. } => self.world.now < *until,
            _ => false,
        }
    }

    fn would_deny(&self, rules: &[&Rule]) -> Vec<String> {
        let mut sorted: Vec<&Rule> = rules[1..].to_vec();
        sorted.sort_by_key(|rule| rule.id.clone());
        let depth = rules.iter().filter_map(|rule| depth(rule)).chain([self.world.request.depth]);
        let depth = depth.max().unwrap();
        let mut names = Vec::new();
        for rule in [rules[0]].into_iter().chain(sorted).filter(|rule| self.audited(rule)) {
            let Action::Require { checks, .. } = &rule.action else { continue };
            let unproven = self.unproven(rule, checks);
            for check in checks {
                let held = match self.waived(rule, check) {
                    true => !unproven,
                    false => self.check(rule, check, depth, false),
                };
                if !held {
                    names.push(format!("{}/{}", rule.id, check.id));
                }
            }
        }
        names
    }

    fn holds(&self, rule: &Rule, depth: Depth, signed: bool) -> bool {
        match &rule.action {
            Action::Accept { .. } => true,
            Action::Reject { .. } => false,
            Action::Require { checks, .. } => {
                self.audited(rule) || self.all(rule, checks, depth, signed)
            }
        }
    }

    fn all(&self, rule: &Rule, checks: &[Check], depth: Depth, signed: bool) -> bool {
        let left: Vec<_> = checks.iter().filter(|check| !self.waived(rule, check)).collect();
        !self.unproven(rule, checks)
            && left.iter().all(|check| self.check(rule, check, depth, signed))
    }

    fn check(&self, rule: &Rule, check: &Check, depth: Depth, signed: bool) -> bool {
        match &check.kind {
            CheckKind::Signed(ask) => signed || self.signed(ask),
            CheckKind::Image(ask) => self.image(ask, depth),
            CheckKind::AnyOf(branches) => {
                branches.iter().any(|branch| self.all(rule, branch, depth, signed))
            }
        }
    }

    // --- exceptions

    fn live(&self, exception: &Exception) -> bool {
        let now = self.world.now;
        let here = match &exception.target {
            Target::Scope(scopes) => {
                scopes.iter().any(|s| s.matches(self.world.request.reference.repository()))
            }
            Target::Digests(digests) => digests.contains(&self.world.request.digest),
        };
        exception.from <= now && now < exception.until && here
    }

    fn waivers(&self, rule: &Rule, check: &Check) -> Vec<&'a Exception> {
        let names = (rule.id.clone(), check.id.clone());
        let live = self.document.exceptions.iter().filter(|e| self.live(e));
        live.filter(|e| e.waive.contains(&names)).collect()
    }

    fn waived(&self, rule: &Rule, check: &Check) -> bool {
        !self.waivers(rule, check).is_empty()
    }

    /// Loading refuses policies in which this can be true of a rule that
    /// permits, so it is false; it is asked so that the test says so.
    fn unproven(&self, rule: &Rule, checks: &[Check]) -> bool {
        let permits = self.document.rules.iter().any(|r| r.id == rule.id);
        let proves = |check: &&Check| proves(check);
        let before = checks.iter().any(|check| proves(&check));
        let mut left = checks.iter().filter(|check| !self.waived(rule, check));
        let unsigned = checks
            .iter()
            .flat_map(|check| flatten(check))
            .flat_map(|check| self.waivers(rule, check))
            .any(|exception| exception.accept_unsigned);
        permits && before && !left.any(|check| self.still_proves(rule, check)) && !unsigned
    }

    fn still_proves(&self, rule: &Rule, check: &Check) -> bool {
        match &check.kind {
            CheckKind::Signed(_) => true,
            CheckKind::Image(_) => false,
            CheckKind::AnyOf(branches) => branches.iter().all(|branch| {
                let mut left = branch.iter().filter(|check| !self.waived(rule, check));
                left.any(|check| self.still_proves(rule, check))
            }),
        }
    }

    // --- signed

    fn signed(&self, ask: &Signed) -> bool {
        let nodes = &self.world.shape.nodes;
        let targets: Vec<Vec<usize>> = match ask.on {
            On::Root => vec![vec![0]],
            On::Each => self.leaves().into_iter().map(|leaf| vec![leaf]).collect(),
            On::Covering => self.leaves().into_iter().map(|leaf| self.path(leaf)).collect(),
        };
        let enough = |target: &Vec<usize>| {
            let nodes: Vec<_> = target.iter().map(|at| &nodes[*at]).collect();
            self.most(ask, &nodes, 0, &mut Vec::new()) >= ask.at_least
        };
        !targets.is_empty() && targets.iter().all(enough)
    }

    /// The most signers from `from` on that can each have an item whose key
    /// nobody else has: all assignments are tried.
    fn most(&self, ask: &Signed, nodes: &[&Node], from: usize, taken: &mut Vec<String>) -> usize {
        if from == ask.by.len() {
            return 0;
        }
        let mut best = self.most(ask, nodes, from + 1, taken);
        for facts in &self.world.facts {
            let key = facts.signer.key().to_string();
            let counts = nodes.iter().any(|node| self.counts(ask, &ask.by[from], node, facts));
            if counts && !taken.contains(&key) {
                taken.push(key);
                best = best.max(1 + self.most(ask, nodes, from + 1, taken));
                taken.pop();
            }
        }
        best
    }

    /// Whether any signer of the policy signed a node, whatever a check asks.
    fn is_signed(&self, node: &Node) -> bool {
        let mut signers = self.document.signers.keys();
        signers.any(|signer| self.world.facts.iter().any(|facts| self.signs(signer, node, facts)))
    }

    fn counts(&self, ask: &Signed, signer: &str, node: &Node, facts: &Facts) -> bool {
        let claims = &facts.claims;
        self.signs(signer, node, facts)
            && ask.formats.as_ref().is_none_or(|formats| formats.contains(&facts.format))
            && ask.annotations.iter().all(|(name, glob)| {
                claims.annotations.get(name).is_some_and(|value| glob.matches(value))
            })
            && self.name_agrees(ask.reference, claims.name.as_deref())
    }

    fn signs(&self, signer: &str, node: &Node, facts: &Facts) -> bool {
        let (claims, key, now) = (&facts.claims, facts.signer.key(), self.world.now);
        let own = self.policy.keys(signer);
        let vouches = match (&self.document.signers[signer], &facts.signer) {
            (SignerDecl::Keys(_), Signer::Key { key }) => key,
            (SignerDecl::Pgp(_), Signer::Pgp { primary, .. }) => primary,
            _ => return false,
        };
        let revoked = self.document.revoked.iter().any(|r| match &r.what {
            Revoked::Key(k) => k == key || k == vouches,
            Revoked::Signer(name) => name == signer,
            _ => false,
        });
        claims.statement == Statement::Signature
            && claims.subject.digest.to_string() == node.digest
            && claims.subject.size.unwrap_or(node.size) == node.size
            && claims.subject.media_type.as_ref().unwrap_or(&node.media_type) == &node.media_type
            && own.iter().any(|k| k.id == *vouches && k.until.is_none_or(|until| now < until))
            && !revoked
            && claims.expires.is_none_or(|at| at > now)
    }

    fn name_agrees(&self, rule: ReferenceRule, name: Option<&str>) -> bool {
        if rule == ReferenceRule::None {
            return true;
        }
        let Some(Ok(signed)) = name.map(str::parse::<Reference>) else { return false };
        // only a tag that was written was signed
        let tag = signed.tag().filter(|tag| name.unwrap().ends_with(&format!(":{tag}")));
        let asked = &self.world.request.reference;
        let same = signed.repository() == &self.mapped(asked.repository());
        same && match (rule, asked.tag()) {
            (ReferenceRule::None | ReferenceRule::Repository, _) => true,
            (ReferenceRule::Exact, None) => false,
            (ReferenceRule::ExactOrDigest, None) => tag.is_some(),
            (ReferenceRule::Exact | ReferenceRule::ExactOrDigest, Some(asked)) => {
                tag == Some(asked)
            }
        }
    }

    /// The generated mirrors have one source, so that it is the longest.
    fn mapped(&self, repository: &Repository) -> Repository {
        let name = format!("{repository}/");
        match self.document.mirrors.iter().find(|(from, _)| name.starts_with(&format!("{from}/"))) {
            None => repository.clone(),
            Some((from, to)) => name.replacen(from, to, 1).trim_end_matches('/').parse().unwrap(),
        }
    }

    // --- the tree

    fn path(&self, at: usize) -> Vec<usize> {
        let parent = self.world.shape.nodes[at].parent;
        [at].into_iter().chain(parent.map(|p| self.path(p)).into_iter().flatten()).collect()
    }

    fn seen(&self) -> Vec<usize> {
        let nodes = 0..self.world.shape.nodes.len();
        let attached =
            |at: usize| self.path(at).iter().any(|at| self.world.shape.is_attachment(*at));
        nodes.filter(|at| !attached(*at)).collect()
    }

    fn leaves(&self) -> Vec<usize> {
        let leaf = |at: &usize| {
            matches!(self.world.shape.nodes[*at].kind, NodeKind::Manifest | NodeKind::Opaque)
        };
        self.seen().into_iter().filter(leaf).collect()
    }

    // --- image

    fn image(&self, ask: &ImageCheck, depth: Depth) -> bool {
        let seen = self.seen();
        let nodes = &self.world.shape.nodes;
        let of = |kind| seen.iter().filter(move |at| nodes[**at].kind == kind).collect::<Vec<_>>();
        let (indexes, manifests) = (of(NodeKind::Index), of(NodeKind::Manifest));
        let (configs, layers) = (of(NodeKind::Config), of(NodeKind::Layer));
        let opaque = of(NodeKind::Opaque);
        let listed = |set: &Option<std::collections::BTreeSet<String>>, of: &[&usize]| {
            set.as_ref().is_none_or(|set| of.iter().all(|at| set.contains(&nodes[**at].media_type)))
        };
        let below = |at: usize, kind| {
            let all = self.world.shape.children(at).map(|i| &nodes[i]);
            all.filter(move |n| n.kind == kind)
        };
        let bytes = |at: usize| {
            nodes[at].size + self.world.shape.children(at).map(|i| nodes[i].size).sum::<u64>()
        };
        let leaves = [manifests.clone(), opaque.clone()].concat();
        let types = listed(&ask.manifest_types, &[indexes.clone(), leaves.clone()].concat())
            && listed(&ask.config_types, &configs)
            && listed(&ask.layer_types, &layers)
            && manifests.iter().all(|at| {
                let own = nodes[**at].artifact_type.as_ref();
                ask.artifact_types.as_ref().is_none_or(|set| own.is_some_and(|t| set.contains(t)))
            });
        let empty = ask.layer_types.is_none()
            || ask.allow_empty
            || manifests.iter().all(|at| below(**at, NodeKind::Layer).next().is_some());
        let limits = indexes
            .iter()
            .all(|at| ask.max_depth.is_none_or(|most| self.path(**at).len() as u64 <= most))
            && ask.max_manifests.is_none_or(|most| (indexes.len() + leaves.len()) as u64 <= most)
            && manifests.iter().all(|at| {
                let count = below(**at, NodeKind::Layer).count() as u64;
                ask.max_layers.is_none_or(|most| count <= most)
            })
            && layers.iter().all(|at| ask.max_layer_bytes.is_none_or(|m| nodes[**at].size <= m))
            && leaves.iter().all(|at| ask.max_image_bytes.is_none_or(|m| bytes(**at) <= m));
        let here = layers.iter().all(|at| depth < Depth::Layers || nodes[**at].urls.is_empty());
        let annotated = ask.annotations.iter().all(|(name, glob)| {
            nodes[0].annotations.get(name).is_some_and(|value| glob.matches(value))
        });
        // the generated schema asks for the user 1000
        let configured = ask.config.is_none()
            || configs
                .iter()
                .all(|at| nodes[**at].json.as_ref().is_some_and(|json| json["User"] == "1000"));
        let inside = ask.config_types.is_some()
            || ask.artifact_types.is_some()
            || ask.platforms_allow.is_some()
            || ask.config.is_some();
        let layered = ask.layer_types.is_some();
        let limited = ask.max_layers.is_some() || ask.max_layer_bytes.is_some();
        // what is not looked into passes only by its type
        let read =
            ask.manifest_types.is_some() || opaque.is_empty() || !(inside || layered || limited);
        let some = !leaves.is_empty() || !(inside || (layered && !ask.allow_empty));
        types
            && empty
            && limits
            && here
            && annotated
            && configured
            && read
            && some
            && self.platforms(ask, &manifests, &opaque)
    }

    fn platforms(&self, ask: &ImageCheck, manifests: &[&usize], opaque: &[&usize]) -> bool {
        if ask.platforms_allow.is_none() && ask.platforms_require.is_none() {
            return true;
        }
        let nodes = &self.world.shape.nodes;
        let own = |at: usize| nodes[at].platform.as_ref().map(plain);
        let honest = |at: usize| {
            nodes[at].declared_platform.as_ref().is_none_or(|p| Some(plain(p)) == own(at))
        };
        let allowed = |name: Option<String>| {
            let Some(allow) = &ask.platforms_allow else { return true };
            name.is_some_and(|name| allow.contains(&name))
        };
        let stated = |at: usize| nodes[at].declared_platform.as_ref().map(plain);
        let required = ask.platforms_require.iter().flatten().all(|name| {
            nodes[0].kind != NodeKind::Index
                || manifests.iter().any(|at| own(**at).as_ref() == Some(name))
        });
        manifests.iter().all(|at| honest(**at) && allowed(own(**at)))
            && opaque.iter().all(|at| allowed(stated(**at)))
            && required
    }
}

/// The generated platforms need one rule: arm64/v8 is arm64.
fn plain(platform: &Platform) -> String {
    platform.to_string().replace("arm64/v8", "arm64")
}

fn wrong(state: &NodeState) -> bool {
    match state {
        NodeState::Mismatch(_)
        | NodeState::SizeMismatch(_)
        | NodeState::Unverifiable(_)
        | NodeState::Ambiguous(_)
        | NodeState::Malformed(_)
        | NodeState::Unpinned(_) => true,
        NodeState::Verified
        | NodeState::NotRead
        | NodeState::NotContentAddressed(_)
        | NodeState::Missing
        | NodeState::External(_)
        | NodeState::LimitExceeded(_) => false,
    }
}

fn unknown(node: &Node, depth: Depth) -> bool {
    let known = matches!(node.state, NodeState::Verified | NodeState::NotContentAddressed(_));
    !known && (node.kind != NodeKind::Layer || depth >= Depth::Layers)
}

fn depth(rule: &Rule) -> Option<Depth> {
    let Action::Require { checks, .. } = &rule.action else { return None };
    let asked = |check: &Check| match &check.kind {
        CheckKind::Image(image) => image.depth,
        CheckKind::Signed(_) | CheckKind::AnyOf(_) => None,
    };
    checks.iter().flat_map(flatten).filter_map(asked).max()
}

fn flatten(check: &Check) -> Vec<&Check> {
    let mut all = vec![check];
    if let CheckKind::AnyOf(branches) = &check.kind {
        all.extend(branches.iter().flatten().flat_map(flatten));
    }
    all
}

fn proves(check: &Check) -> bool {
    match &check.kind {
        CheckKind::Signed(_) => true,
        CheckKind::Image(_) => false,
        CheckKind::AnyOf(branches) => branches.iter().all(|branch| branch.iter().any(proves)),
    }
}
