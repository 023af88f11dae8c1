//! Policies that can mostly be exported, and images that they may allow.

use jiff::Timestamp;
use ocisign::evidence::{Claims, Facts, Format, Signer, Statement, Subject};
use ocisign::image::{Depth, Digest, Node, NodeKind, NodeState, Shape, media_type};
use ocisign::policy::export::{Dates, DefaultDocker, Options, Subtrees};
use ocisign::policy::{Policy, Request};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};

use super::evaluator::Signature;
use super::{STRANGER, hour, key, load, pem, signers};

/// All that the two sides judge.
#[derive(Clone)]
pub struct World {
    pub policy: Value,
    pub linked: Policy,
    pub options: Options,
    /// When it is exported.
    pub now: Timestamp,
    /// The name that is asked for, as it is typed.
    pub name: String,
    /// The manifests of the image, and the signatures on each. The first is
    /// an index over the others, if there are others.
    pub manifests: Vec<Vec<Signature>>,
}

/// Scopes without a whole host, which mostly cannot be told from others.
const WIDE: &[&str] = &["**", "**", "*.example/**", "*.r.example/**", "*.docker.io/**", PORT];
const PORT: &str = "*.r.example:5000/**";

/// From wide to narrow.
const SCOPES: &[&str] = &[
    "r.example/**",
    "r.example/a/**",
    "r.example/a",
    "r.example/a/app",
    "r.example/a/app/**",
    "sub.r.example:5000/**",
    "docker.io/**",
    "docker.io/me/**",
    "docker.io/library/alpine",
    "mirror.test/hub/**",
    "mirror.test/**",
];

/// Names in the spelling that is compared.
pub const NAMES: &[&str] = &[
    "r.example/a/app",
    "r.example/a/app",
    "r.example/a/app",
    "r.example/a/app/below",
    "r.example/a",
    "r.example/x",
    "sub.r.example/x",
    "sub.r.example:5000/x",
    "docker.io/me/app",
    "docker.io/library/alpine",
    "mirror.test/hub/app",
    "mirror.test/hub/app",
    "mirror.test/other",
    "other.test/y",
];

/// The same in other spellings.
pub const SPELLINGS: &[&str] = &[
    "R.example/a/app",
    "r.example:443/a/app",
    "SUB.r.example/x",
    "sub.r.EXAMPLE:5000/x",
    "registry-1.docker.io/me/app",
    "index.docker.io/me/app",
    "alpine",
    "Mirror.test/hub/app",
];

/// Worlds in which one of these names is asked for.
pub fn world(names: &[&[&'static str]]) -> impl Strategy<Value = World> + use<> {
    (policy(), options(), select(names.concat()), select(vec![":v1", ":v1", ":v2", "@"]))
        .prop_filter_map("the policy loads", |(policy, options, name, tail)| {
            let linked = load(&policy)?;
            let digest = if tail == "@" { digest(0).to_string() } else { String::new() };
            let name = format!("{name}{tail}{digest}");
            Some(World { policy, linked, options, now: hour(0), name, manifests: Vec::new() })
        })
        .prop_flat_map(|world| {
            let signatures = prop::collection::vec(signature(&world.name), 0..12);
            let manifests = prop_oneof![3 => Just(1usize), 1 => Just(3)];
            let manifests =
                manifests.prop_flat_map(move |n| prop::collection::vec(signatures.clone(), n));
            (Just(world), manifests)
        })
        .prop_map(|(world, manifests)| World { manifests, ..world })
}

fn options() -> impl Strategy<Value = Options> {
    let dates = prop_oneof![1 => Just(Dates::Refuse), 2 => Just(Dates::Snapshot)];
    (dates, any::<bool>()).prop_map(|(dates, widen)| Options {
        dates,
        subtrees: if widen { Subtrees::Widen } else { Subtrees::Apart },
        default_docker: DefaultDocker::Leave,
    })
}

fn policy() -> impl Strategy<Value = Value> {
    let baseline = prop::option::weighted(0.3, (scopes(1..3), rule(true)));
    let rules = prop::collection::vec(rule(false), 5);
    let mirror = prop::option::weighted(
        0.3,
        select(vec![("mirror.test/hub", "r.example/a"), ("mirror.test", "docker.io")]),
    );
    let dates = (prop::option::weighted(0.2, 1..9i64), prop::option::weighted(0.2, -3..9i64));
    let revoked = prop::option::weighted(0.2, 0..8u8);
    (scopes(1..4), rules, baseline, mirror, dates, revoked, any::<bool>()).prop_map(
        |(scopes, rules, baseline, mirror, (expires, until), revoked, together)| {
            let mut policy = json!({"ocisign": "policy/1", "name": "generated"});
            policy["signers"] = signers();
            let mut lists: Vec<_> = scopes.into_iter().map(|scope| vec![scope]).collect();
            // two scopes of one rule, as a repository and what is below it
            if together && lists.len() > 1 {
                let scope = lists.pop().unwrap();
                lists.last_mut().unwrap().extend(scope);
            }
            policy["rules"] = numbered("r", lists.into_iter().zip(rules).collect());
            if let Some(baseline) = baseline {
                policy["baseline"] = numbered("b", vec![baseline]);
            }
            if let Some((from, to)) = mirror {
                policy["mirrors"] = json!({from: to});
            }
            if let Some(expires) = expires {
                policy["expires"] = json!(hour(expires).to_string());
            }
            if let Some(until) = until {
                policy["signers"]["ana"]["keys"][1]["until"] = json!(hour(until).to_string());
            }
            match revoked {
                Some(n @ 0..6) => revoke(&mut policy, json!({"key": key(n).to_string()})),
                Some(6) => revoke(&mut policy, json!({"signer": "bo"})),
                Some(_) => revoke(&mut policy, json!({"digest": digest(0).to_string()})),
                None => {}
            }
            policy
        },
    )
}

fn scopes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<&'static str>> {
    let wide = prop::option::weighted(0.4, select(WIDE));
    (wide, subsequence(SCOPES.to_vec(), count))
        .prop_map(|(wide, narrow)| wide.into_iter().chain(narrow).collect())
}

fn revoke(policy: &mut Value, mut what: Value) {
    what["reason"] = json!("lost");
    policy["revoked"] = json!([what]);
}

fn numbered(prefix: &str, rules: Vec<(Vec<&str>, Value)>) -> Value {
    let mut list = Vec::new();
    for (at, (scope, mut rule)) in rules.into_iter().enumerate() {
        rule["id"] = json!(format!("{prefix}{at}"));
        rule["scope"] = json!(scope);
        if let Some(checks) = rule.get_mut("require") {
            number_checks(checks, &mut 0);
        }
        list.push(rule);
    }
    json!(list)
}

fn number_checks(checks: &mut Value, next: &mut usize) {
    for check in checks.as_array_mut().unwrap() {
        check["id"] = json!(format!("c{next}"));
        *next += 1;
        for branch in check.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
            number_checks(branch, next);
        }
    }
}

fn rule(baseline: bool) -> BoxedStrategy<Value> {
    let audit = prop::option::weighted(0.1, 1..9i64);
    let require = (reference(), audit).prop_flat_map(|(reference, audit)| {
        let checks = prop::collection::vec(check(reference, 1), 1..3);
        checks.prop_map(move |checks| {
            let mut rule = json!({"require": checks});
            if let Some(until) = audit {
                rule["mode"] = json!({"auditUntil": hour(until).to_string()});
            }
            rule
        })
    });
    let reject = Just(json!({"reject": {"reason": "not this one"}}));
    let accept = Just(json!({"accept": {"reason": "nobody signs it"}}));
    match baseline {
        true => prop_oneof![12 => require, 1 => reject].boxed(),
        false => prop_oneof![8 => require, 1 => reject, 2 => accept].boxed(),
    }
}

fn reference() -> impl Strategy<Value = &'static str> {
    select(vec!["none", "repository", "repository", "exact", "exactOrDigest", "exactOrDigest"])
}

/// Mostly one way to compare names in all of a rule, which an `anyOf` needs.
fn check(reference: &'static str, depth: u32) -> BoxedStrategy<Value> {
    let signed = signed(reference).prop_map(|signed| json!({"signed": signed}));
    if depth == 0 {
        return signed.boxed();
    }
    let image = Just(json!({"image": {"maxLayers": 4}}));
    let branch = prop::collection::vec(check(reference, depth - 1), 1..3);
    let any_of = prop::collection::vec(branch, 2..4).prop_map(|b| json!({"anyOf": b}));
    prop_oneof![50 => signed, 1 => image, 15 => any_of].boxed()
}

fn signed(usual: &'static str) -> impl Strategy<Value = Value> {
    let by = subsequence(vec!["ana", "bo", "cleo", "dora"], 1..=4);
    let on = prop_oneof![6 => Just("root"), 1 => Just("each"), 2 => Just("covering")];
    let reference = prop_oneof![20 => Just(usual), 1 => reference()];
    let formats = prop_oneof![
        40 => Just(None), 4 => Just(Some(json!(["cosign"]))), 1 => Just(Some(json!(["sigstore"])))
    ];
    let annotated = prop::bool::weighted(0.01);
    (by, any::<Index>(), reference, on, formats, annotated).prop_map(
        |(by, at_least, reference, on, formats, annotated)| {
            // mostly one or two
            let at_least = at_least.index(2 * by.len()).saturating_sub(by.len()) + 1;
            let mut signed =
                json!({"by": by, "atLeast": at_least, "reference": reference, "on": on});
            if let Some(formats) = formats {
                signed["formats"] = formats;
            }
            if annotated {
                signed["annotations"] = json!({"env": "*"});
            }
            signed
        },
    )
}

/// A signature, mostly under the name that is asked for or the mirrored one.
///
/// No name carries a digest: such a name may vouch for another image than the
/// signature does, which only ocisign looks at (docs/export.md).
fn signature(asked: &str) -> impl Strategy<Value = Signature> + Clone + use<> {
    let typed = asked.split('@').next().unwrap().to_owned();
    let untagged = |name: &str| match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => name.to_owned(),
    };
    let plain = untagged(&typed);
    let tagged = if typed == plain { format!("{plain}:v1") } else { typed.clone() };
    let mapped = tagged
        .replace("mirror.test/hub", "r.example/a")
        .replace("mirror.test/other", "docker.io/other");
    let normal = asked.parse::<ocisign::Reference>().unwrap().repository().to_string();
    let name = prop_oneof![
        6 => Just(tagged),
        3 => Just(mapped),
        2 => Just(plain),
        2 => Just(format!("{normal}:v1")),
        1 => Just(format!("{normal}:v3")),
        1 => Just("r.example/evil:v1".to_owned()),
        1 => Just(String::new()),
    ];
    let by = prop_oneof![12 => 0..6u8, 1 => Just(STRANGER)];
    (by, name).prop_map(|(by, name)| Signature { key: pem(by), name })
}

pub fn digest(manifest: usize) -> Digest {
    Digest::sha256(format!("manifest {manifest}").as_bytes())
}

fn node(manifest: usize, kind: NodeKind, media_type: &str, parent: Option<usize>) -> Node {
    Node {
        digest: digest(manifest).to_string(),
        size: 100,
        media_type: media_type.to_owned(),
        kind,
        state: NodeState::Verified,
        parent,
        declared_platform: None,
        platform: None,
        artifact_type: None,
        annotations: Default::default(),
        urls: Vec::new(),
        json: None,
        diff_id: None,
        warnings: Vec::new(),
    }
}

/// One manifest of the image by itself.
pub fn manifest_alone(at: usize) -> Shape {
    let manifest = node(at, NodeKind::Manifest, media_type::OCI_MANIFEST, None);
    Shape { depth: Depth::Contents, nodes: vec![manifest] }
}

/// The index over all the others.
pub fn index(count: usize) -> Shape {
    let child = |at| node(at, NodeKind::Manifest, media_type::OCI_MANIFEST, Some(0));
    let mut nodes = vec![node(0, NodeKind::Index, media_type::OCI_INDEX, None)];
    nodes.extend((1..count).map(child));
    Shape { depth: Depth::Contents, nodes }
}

/// What a failure shows: the policy as it is written.
impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{:?} at {}", self.policy, self.options, self.now)?;
        writeln!(f, "{}: {:?}", self.name, self.manifests)
    }
}

impl World {
    /// What ocisign is asked where containers/image is asked for the manifest
    /// `at`; `None` where the name is none to ocisign.
    pub fn request(&self, at: usize) -> Option<Request> {
        let name = match self.name.split_once('@') {
            Some((name, _)) => format!("{name}@{}", digest(at)),
            None => self.name.clone(),
        };
        let reference = name.parse().ok()?;
        Some(Request {
            reference,
            digest: digest(at),
            depth: Depth::Manifests,
            incomplete: Vec::new(),
        })
    }

    /// The signatures as ocisign's evidence.
    pub fn facts(&self) -> Vec<Facts> {
        let mut facts = Vec::new();
        for (at, signatures) in self.manifests.iter().enumerate() {
            for signature in signatures {
                let number = signature.key.strip_prefix("key ").unwrap().parse().unwrap();
                facts.push(Facts {
                    item: format!("item {}", facts.len()),
                    format: Format::Cosign,
                    signer: Signer::Key { key: key(number) },
                    claims: Claims {
                        subject: Subject { digest: digest(at), size: None, media_type: None },
                        name: Some(signature.name.clone()).filter(|name| !name.is_empty()),
                        annotations: Default::default(),
                        statement: Statement::Signature,
                        signed_at: None,
                        expires: None,
                    },
                    times: Vec::new(),
                });
            }
        }
        facts
    }
}
