//! Worlds to judge: a policy, an image, signatures on it and an instant.
//!
//! Policies are generated as JSON and loaded as a user's would be, so that
//! only policies that the tool accepts are judged. Choices are weighted
//! towards what can hold: a world where everything is denied tests nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ocisign::evidence::{Claims, Facts, Format, KeyId, Signer, Statement, Subject};
use ocisign::image::{Depth, Digest, Node, NodeKind, NodeState, Platform, Shape, media_type};
use ocisign::limits::Limits;
use ocisign::policy::{Document, Policy, Request, Resolved, parse};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};

/// All that a verdict depends on.
#[derive(Debug, Clone)]
pub struct World {
    pub policy: Value,
    /// The policy, loaded.
    pub linked: Policy,
    pub request: Request,
    pub shape: Shape,
    pub facts: Vec<Facts>,
    pub now: Timestamp,
}

/// Signers and the numbers of their keys; those of `cleo` are OpenPGP's
/// primary keys. `zoe` is declared and never asked for; key 9 is nobody's.
pub const SIGNERS: &[(&str, &[u8])] =
    &[("ana", &[0, 1]), ("bo", &[2]), ("cleo", &[3, 4]), ("zoe", &[5])];
pub const STRANGER: u8 = 9;

/// Names that are asked for, from wide to narrow scopes' point of view.
pub const REPOSITORIES: &[&str] = &[
    "r.example/a/app",
    "r.example/a/b/app",
    "r.example/x",
    "sub.r.example/x",
    "other.test/y",
    "mirror.test/hub/app",
];

pub const SCOPES: &[&str] = &[
    "**",
    "*.example/**",
    "*.r.example/**",
    "r.example/**",
    "r.example/a/**",
    "r.example/a/app",
    "mirror.test/hub/**",
];

pub fn hour(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
}

pub fn digest(of: &str) -> Digest {
    Digest::sha256(of.as_bytes())
}

pub fn key(number: u8) -> KeyId {
    KeyId(digest(&format!("key {number}")))
}

/// Loads a policy with the keys of [`SIGNERS`]; `None` where it is refused.
pub fn load(policy: &Value) -> Option<Policy> {
    let bytes = serde_json::to_vec(policy).unwrap();
    link(parse(&bytes, &Limits::default()).ok()?)
}

/// Gives a document the keys of [`SIGNERS`].
pub fn link(document: Document) -> Option<Policy> {
    link_with(document, SIGNERS)
}

/// Gives a document these keys.
pub fn link_with(document: Document, keys: &[(&str, &[u8])]) -> Option<Policy> {
    let signers = keys
        .iter()
        .filter(|(name, _)| document.signers.contains_key(*name))
        .map(|(name, keys)| ((*name).to_owned(), keys.iter().map(|k| key(*k)).collect()))
        .collect();
    Policy::link(document, Resolved { signers }).ok()
}

pub fn world() -> impl Strategy<Value = World> {
    (policy(), request(), shape(), 3..7i64)
        .prop_filter_map("the policy loads", |(policy, request, shape, now)| {
            let linked = load(&policy)?;
            Some(World { policy, linked, request, shape, facts: Vec::new(), now: hour(now) })
        })
        .prop_flat_map(|world| {
            let facts = prop::collection::vec(facts(&world.shape, &world.request), 0..9);
            (Just(world), facts)
        })
        .prop_map(|(world, facts)| World { facts, ..world })
}

/// A policy's JSON; some are refused when they are loaded.
pub fn policy() -> impl Strategy<Value = Value> {
    let wide = prop::bool::weighted(0.7).prop_map(|wide| vec!["**"; usize::from(wide)]);
    let scopes = (wide, subsequence(SCOPES[1..].to_vec(), 1..4)).prop_map(|(a, b)| [a, b].concat());
    let baseline = prop::collection::vec((subsequence(SCOPES.to_vec(), 1..3), rule(true)), 0..2);
    let rules = (scopes, prop::collection::vec(rule(false), 4));
    let times = (sometimes(1, hours()), sometimes(1, hours()));
    let exceptions = prop::collection::vec(exception(), 0..3);
    (rules, baseline, times, sometimes(2, revocation()), exceptions, any::<bool>()).prop_map(
        |((scopes, rules), baseline, (issued, expires), revoked, exceptions, mirror)| {
            let mut policy = json!({"ocisign": "policy/1", "name": "generated"});
            policy["signers"] = signers();
            let rules = scopes.iter().map(|s| vec![*s]).zip(rules);
            policy["rules"] = numbered("r", rules.collect());
            if !baseline.is_empty() {
                policy["baseline"] = numbered("b", baseline);
            }
            if mirror {
                policy["mirrors"] = json!({"mirror.test/hub": "r.example/a"});
            }
            put(&mut policy, "issued", issued.map(|h| json!(hour(h - 2).to_string())));
            put(&mut policy, "expires", expires.map(|h| json!(hour(h + 2).to_string())));
            put(&mut policy, "revoked", revoked.map(|r| json!([r])));
            waive(&mut policy, exceptions);
            policy
        },
    )
}

fn signers() -> Value {
    let mut signers = BTreeMap::new();
    for (name, keys) in SIGNERS {
        if *name == "cleo" {
            signers.insert(*name, json!({"pgp": {"keyring": {"file": "cleo.asc"}}}));
            continue;
        }
        let list: Vec<_> = keys
            .iter()
            .map(|number| {
                let mut key = json!({"file": format!("{number}.pub")});
                // the second key of a signer has ended for the later half
                if number % 2 == 1 {
                    key["until"] = json!(hour(5).to_string());
                }
                key
            })
            .collect();
        signers.insert(*name, json!({"keys": list}));
    }
    json!(signers)
}

/// `weight` in ten times something.
fn sometimes<T: Strategy>(weight: u32, some: T) -> impl Strategy<Value = Option<T::Value>>
where
    T::Value: Clone,
{
    prop::option::weighted(f64::from(weight) / 10.0, some)
}

fn hours() -> std::ops::Range<i64> {
    2..8
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[field] = value;
    }
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
    let require = (prop::collection::vec(check(2), 1..3), sometimes(2, hours())).prop_map(
        |(checks, audit)| {
            let mut rule = json!({"require": checks});
            put(&mut rule, "mode", audit.map(|h| json!({"auditUntil": hour(h).to_string()})));
            rule
        },
    );
    let reject = Just(json!({"reject": {"reason": "not this one"}}));
    let accept = Just(json!({"accept": {"reason": "nobody signs it"}}));
    if baseline {
        prop_oneof![12 => require, 1 => reject].boxed()
    } else {
        prop_oneof![12 => require, 1 => reject, 1 => accept].boxed()
    }
}

fn check(depth: u32) -> BoxedStrategy<Value> {
    let signed = signed().prop_map(|signed| json!({"signed": signed}));
    let image = image().prop_map(|image| json!({"image": image}));
    if depth == 0 {
        return prop_oneof![3 => signed, 1 => image].boxed();
    }
    let branch = prop::collection::vec(check(depth - 1), 1..3);
    let any_of = prop::collection::vec(branch, 2..4).prop_map(|b| json!({"anyOf": b}));
    prop_oneof![6 => signed, 2 => image, 2 => any_of].boxed()
}

fn signed() -> impl Strategy<Value = Value> {
    let by = subsequence(vec!["ana", "bo", "cleo"], 1..=3);
    let reference = prop_oneof![
        5 => Just("none"), 2 => Just("repository"), 1 => Just("exact"), 2 => Just("exactOrDigest")
    ];
    let on = prop_oneof![6 => Just("root"), 1 => Just("each"), 2 => Just("covering")];
    let annotations = sometimes(2, select(vec!["prod", "pr*", "test"]));
    let formats = sometimes(1, Just(json!(["sigstore"])));
    (by, any::<Index>(), reference, on, annotations, formats).prop_map(
        |(by, at_least, reference, on, annotations, formats)| {
            // mostly one: two of two is rare enough to be met by chance
            let at_least = (at_least.index(4 + by.len())).saturating_sub(3).max(1);
            let at_least = at_least.min(by.len());
            let mut signed =
                json!({"by": by, "atLeast": at_least, "reference": reference, "on": on});
            put(&mut signed, "annotations", annotations.map(|glob| json!({"env": glob})));
            put(&mut signed, "formats", formats);
            signed
        },
    )
}

/// The schema that `config` asks for: the interpreter knows it by heart.
fn nonroot() -> Value {
    json!({"type": "object", "required": ["User"],
           "properties": {"User": {"type": "string", "enum": ["1000"]}}})
}

fn image() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        select(vec!["manifests", "layers", "layers", "contents"]).prop_map(|d| json!({"depth": d})),
        Just(json!({"manifestTypes": [media_type::OCI_MANIFEST, media_type::OCI_INDEX]})),
        Just(json!({"configTypes": [media_type::OCI_CONFIG]})),
        Just(json!({"layerTypes": [media_type::OCI_LAYER_GZIP]})),
        Just(json!({"layerTypes": [media_type::OCI_LAYER_GZIP], "allowEmpty": true})),
        Just(json!({"artifactTypes": [media_type::OCI_CONFIG]})),
        Just(json!({"annotations": {"team": "e*"}})),
        Just(json!({"platforms": {"require": ["linux/amd64"]}})),
        Just(json!({"platforms": {"allow": ["linux/amd64", "linux/arm64/v8"]}})),
        Just(json!({"digestAlgorithms": ["sha256"]})),
        (1..3u64).prop_map(|n| json!({"maxDepth": n})),
        (1..6u64).prop_map(|n| json!({"maxManifests": n})),
        (1..3u64).prop_map(|n| json!({"maxLayers": n})),
        (90..200u64).prop_map(|n| json!({"maxLayerBytes": n})),
        (300..500u64).prop_map(|n| json!({"maxImageBytes": n})),
        Just(json!({"config": nonroot()})),
    ];
    prop::collection::vec(one, 1..3).prop_map(|parts| {
        let mut image = json!({});
        for part in parts {
            image.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        // what `allowEmpty` belongs to may have been overwritten
        image
    })
}

fn revocation() -> impl Strategy<Value = Value> {
    let what = prop_oneof![
        (0..6u8).prop_map(|n| json!({"key": key(n).to_string()})),
        select(vec!["ana", "bo", "zoe"]).prop_map(|s| json!({"signer": s})),
        select(vec!["root", "leaf 1", "elsewhere"])
            .prop_map(|n| json!({"digest": digest(n).to_string()})),
    ];
    what.prop_map(|mut what| {
        what["reason"] = json!("lost");
        what
    })
}

/// An exception whose checks are still to be chosen among those there are.
fn exception() -> impl Strategy<Value = (Value, Index)> {
    let target = prop_oneof![
        2 => select(SCOPES.to_vec()).prop_map(|s| json!({"scope": [s]})),
        1 => Just(json!({"digests": [digest("root").to_string()]})),
    ];
    (target, any::<Index>(), hours(), any::<bool>()).prop_map(|(target, at, from, unsigned)| {
        let mut exception = target;
        exception["from"] = json!(hour(from - 3).to_string());
        exception["until"] = json!(hour(from).to_string());
        exception["reason"] = json!("until the key is back");
        exception["approvedBy"] = json!("dora");
        if unsigned {
            exception["acceptUnsigned"] = json!(true);
        }
        (exception, at)
    })
}

fn waive(policy: &mut Value, exceptions: Vec<(Value, Index)>) {
    let names = check_names(policy);
    let mut list = Vec::new();
    for (at, (mut exception, which)) in exceptions.into_iter().enumerate() {
        if names.is_empty() {
            return;
        }
        exception["id"] = json!(format!("e{at}"));
        exception["waive"] = json!([which.get(&names)]);
        list.push(exception);
    }
    if !list.is_empty() {
        policy["exceptions"] = json!(list);
    }
}

fn check_names(policy: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for list in ["rules", "baseline"] {
        for rule in policy.get(list).and_then(Value::as_array).into_iter().flatten() {
            let id = rule["id"].as_str().unwrap();
            collect(rule.get("require"), id, &mut names);
        }
    }
    names
}

fn collect(checks: Option<&Value>, rule: &str, names: &mut Vec<String>) {
    for check in checks.and_then(Value::as_array).into_iter().flatten() {
        names.push(format!("{rule}/{}", check["id"].as_str().unwrap()));
        for branch in check.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            collect(Some(branch), rule, names);
        }
    }
}

pub fn request() -> impl Strategy<Value = Request> {
    let depth = prop_oneof![
        2 => Just(Depth::Manifests), 4 => Just(Depth::Layers), 1 => Just(Depth::Contents)
    ];
    let form = prop_oneof![3 => Just(":v1"), 1 => Just("@"), 1 => Just(":v1@")];
    let cut = sometimes(1, Just("the referrers listing was cut short".to_owned()));
    let name = select([REPOSITORIES, &REPOSITORIES[..1], &REPOSITORIES[..1]].concat());
    (name, form, depth, cut).prop_map(|(name, form, depth, cut)| {
        let tail = if form.ends_with('@') { digest("root").to_string() } else { String::new() };
        Request {
            reference: format!("{name}{form}{tail}").parse().unwrap(),
            digest: digest("root"),
            depth,
            incomplete: cut.into_iter().collect(),
        }
    })
}

/// An image: a manifest, or an index of manifests, attachments, unread
/// children and one more index.
pub fn shape() -> impl Strategy<Value = Shape> {
    let depth = prop_oneof![
        1 => Just(Depth::Manifests), 4 => Just(Depth::Layers), 8 => Just(Depth::Contents)
    ];
    let child = prop_oneof![6 => Just(0u8), 1 => Just(1), 1 => Just(2), 1 => Just(3)];
    let children = prop::collection::vec((child, image_of()), 0..4);
    let damage = prop::option::weighted(0.1, (any::<Index>(), 0..18usize));
    (depth, any::<bool>(), image_of(), children, damage).prop_map(
        |(depth, single, image, children, damage)| {
            let mut shape = Shape { depth, nodes: Vec::new() };
            if single {
                add_image(&mut shape, "root", None, &image);
            } else {
                add_index(&mut shape, children);
            }
            if depth == Depth::Manifests {
                for node in shape.nodes.iter_mut().filter(|n| n.kind == NodeKind::Layer) {
                    node.state = NodeState::NotRead;
                }
            }
            if let Some((at, how)) = damage {
                let at = at.index(shape.nodes.len());
                let loose = || NodeState::NotContentAddressed("it goes by an id".to_owned());
                shape.nodes[at].state = states().get(how).cloned().unwrap_or_else(loose);
            }
            shape
        },
    )
}

pub fn states() -> Vec<NodeState> {
    let why = || "as the test wants it".to_owned();
    vec![
        NodeState::Mismatch(why()),
        NodeState::SizeMismatch(why()),
        NodeState::Unverifiable(why()),
        NodeState::Ambiguous(why()),
        NodeState::Malformed(why()),
        NodeState::Missing,
        NodeState::External(vec!["https://elsewhere.test/x".to_owned()]),
        NodeState::LimitExceeded(why()),
        NodeState::NotRead,
    ]
}

/// What a generated manifest holds.
#[derive(Debug, Clone)]
pub struct ImageOf {
    platform: (&'static str, Option<&'static str>),
    declared: Option<(&'static str, Option<&'static str>)>,
    layers: Vec<u64>,
    urls: bool,
    user: &'static str,
    layer_type: &'static str,
}

fn image_of() -> impl Strategy<Value = ImageOf> {
    let platforms = vec![("amd64", None), ("amd64", None), ("arm64", Some("v8")), ("s390x", None)];
    let lie = sometimes(1, select(platforms.clone()));
    let layers = prop::collection::vec(80..120u64, 0..4);
    let user = select(vec!["1000", "1000", "root"]);
    let kinds = vec![media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER];
    (select(platforms), lie, layers, prop::bool::weighted(0.05), user, select(kinds)).prop_map(
        |(platform, lie, layers, urls, user, layer_type)| ImageOf {
            platform,
            declared: Some(lie.unwrap_or(platform)),
            layers,
            urls,
            user,
            layer_type,
        },
    )
}

fn platform((architecture, variant): (&str, Option<&str>)) -> Platform {
    Platform {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        variant: variant.map(str::to_owned),
        os_version: None,
    }
}

pub fn node(name: &str, kind: NodeKind, media_type: &str, parent: Option<usize>) -> Node {
    Node {
        digest: digest(name).to_string(),
        size: 100,
        media_type: media_type.to_owned(),
        kind,
        state: NodeState::Verified,
        parent,
        declared_platform: None,
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
        urls: Vec::new(),
        json: None,
        diff_id: None,
        warnings: Vec::new(),
    }
}

fn add_image(shape: &mut Shape, name: &str, parent: Option<usize>, image: &ImageOf) {
    let at = shape.nodes.len();
    let mut manifest = node(name, NodeKind::Manifest, media_type::OCI_MANIFEST, parent);
    manifest.declared_platform = image.declared.filter(|_| parent.is_some()).map(platform);
    manifest.platform = Some(platform(image.platform));
    manifest.artifact_type = Some(media_type::OCI_CONFIG.to_owned());
    if image.user == "1000" {
        manifest.annotations.insert("team".to_owned(), "edge".to_owned());
    }
    shape.nodes.push(manifest);
    let mut config =
        node(&format!("{name} config"), NodeKind::Config, media_type::OCI_CONFIG, Some(at));
    let (architecture, variant) = image.platform;
    config.json = Some(json!({"architecture": architecture, "os": "linux", "User": image.user}));
    if let (Some(json), Some(variant)) = (&mut config.json, variant) {
        json["variant"] = json!(variant);
    }
    shape.nodes.push(config);
    for (i, size) in image.layers.iter().enumerate() {
        let mut layer =
            node(&format!("{name} layer {i}"), NodeKind::Layer, image.layer_type, Some(at));
        layer.size = *size;
        if image.urls {
            layer.urls.push("https://elsewhere.test/x".to_owned());
        }
        shape.nodes.push(layer);
    }
}

fn add_index(shape: &mut Shape, children: Vec<(u8, ImageOf)>) {
    let mut root = node("root", NodeKind::Index, media_type::OCI_INDEX, None);
    root.annotations.insert("team".to_owned(), "edge".to_owned());
    shape.nodes.push(root);
    for (i, (kind, image)) in children.iter().enumerate() {
        let name = format!("leaf {i}");
        match kind {
            0 => add_image(shape, &name, Some(0), image),
            1 => add_attachment(shape, &name, image),
            2 => {
                let kind = NodeKind::Opaque;
                shape.nodes.push(node(&name, kind, "application/vnd.test.thing", Some(0)));
            }
            _ => {
                let at = shape.nodes.len();
                shape.nodes.push(node(&name, NodeKind::Index, media_type::OCI_INDEX, Some(0)));
                add_image(shape, &format!("{name} inner"), Some(at), image);
            }
        }
    }
}

/// As BuildKit writes them: unknown/unknown, one in-toto layer. With a layer
/// of another kind it is no attachment, whatever its platform says.
fn add_attachment(shape: &mut Shape, name: &str, image: &ImageOf) {
    let at = shape.nodes.len();
    add_image(shape, name, Some(0), image);
    let unknown = Platform { os: "unknown".to_owned(), ..platform(("unknown", None)) };
    shape.nodes[at].declared_platform = Some(unknown);
    for node in shape.nodes.iter_mut().skip(at).filter(|n| n.kind == NodeKind::Layer) {
        node.media_type = media_type::IN_TOTO.to_owned();
    }
}

/// A signature, mostly good, on some node of the image or on none.
pub fn facts(shape: &Shape, request: &Request) -> impl Strategy<Value = Facts> + use<> {
    let mut subjects: Vec<(Digest, u64, String)> = Vec::new();
    for node in shape.nodes.iter().filter(|n| n.kind != NodeKind::Layer) {
        let times = if node.parent.is_none() { 8 } else { 1 };
        let subject = (node.digest.parse().unwrap(), node.size, node.media_type.clone());
        subjects.extend(std::iter::repeat_n(subject, times));
    }
    subjects.push((digest("elsewhere"), 100, media_type::OCI_INDEX.to_owned()));
    let right = request.reference.repository().to_string();
    let mapped = right.replace("mirror.test/hub", "r.example/a");
    let name = prop_oneof![
        6 => Just(Some(format!("{mapped}:v1"))),
        1 => Just(Some(right.clone())),
        1 => Just(Some(format!("{right}:v2"))),
        1 => Just(Some("r.example/evil:v1".to_owned())),
        1 => Just(Some("not a name!".to_owned())),
        1 => Just(None),
    ];
    let about = (select(subjects), 0..12u8);
    let who = (prop_oneof![9 => 0..5u8, 1 => Just(5), 1 => Just(STRANGER)], 0..20u8)
        .prop_map(|(who, how)| signer(who, how));
    let format = prop_oneof![5 => Just(Format::Sigstore), 1 => Just(Format::Cosign)];
    let env = prop_oneof![4 => Just(Some("prod")), 1 => Just(Some("test")), 1 => Just(None)];
    let expires = sometimes(2, hours());
    (about, who, format, name, env, expires, prop::bool::weighted(0.05), 0..4u8).prop_map(
        |(((digest, size, media), how), who, format, name, env, expires, attests, item)| Facts {
            item: format!("item {item}"),
            format,
            signer: who,
            claims: Claims {
                subject: Subject {
                    digest,
                    size: [Some(size), None, Some(size + u64::from(how == 2))]
                        [usize::from(how % 3)],
                    media_type: (how % 2 == 0).then_some(media),
                },
                name,
                annotations: env.map(|e| ("env".to_owned(), e.to_owned())).into_iter().collect(),
                statement: if attests {
                    Statement::Attestation {
                        predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
                        predicate: json!({"z": 1, "a": 2}),
                    }
                } else {
                    Statement::Signature
                },
                signed_at: None,
                expires: expires.map(hour),
            },
            times: Vec::new(),
        },
    )
}

/// Who signed with a key: of OpenPGP's, mostly a subkey or the key itself.
/// Seldom it comes as the other kind, which nobody may take for it.
fn signer(who: u8, how: u8) -> Signer {
    let openpgp = matches!(who, 3 | 4) != (how == 0);
    match openpgp {
        true => Signer::Pgp {
            key: key(who + 10 * (how % 3)),
            primary: key(who),
            fingerprint: format!("{who:040x}"),
        },
        false => Signer::Key { key: key(who) },
    }
}
