//! The page on the policy language, "Meaning", case by case: what holds, what
//! does not, and what the denial says.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use ocisign::evidence::{Claims, Facts, Format, Rejection, Signer, Statement, Subject};
use ocisign::image::{Depth, NodeKind, NodeState, Platform, Shape, media_type};
use ocisign::limits::Limits;
use ocisign::policy::{
    CheckOutcome, Decision, Request, Row, Verdict, parse, required_depth, simulate, wanted_subjects,
};
use ocisign::report::explain;
use serde_json::{Value, json};

use crate::generate::{STRANGER, digest, hour, key, link, link_with, load, node, states};

/// A manifest `r.example/a/app:v1` that ana signed, and a policy that asks
/// for that. Tests change one thing.
pub struct Case {
    pub policy: Value,
    pub request: Request,
    pub shape: Shape,
    pub facts: Vec<Facts>,
    pub rejections: Vec<Rejection>,
    pub now: Timestamp,
}

impl Case {
    pub fn new() -> Self {
        let shape = Shape {
            depth: Depth::Layers,
            nodes: vec![
                node("root", NodeKind::Manifest, media_type::OCI_MANIFEST, None),
                node("config", NodeKind::Config, media_type::OCI_CONFIG, Some(0)),
                node("layer", NodeKind::Layer, media_type::OCI_LAYER_GZIP, Some(0)),
            ],
        };
        let signed = json!({"by": ["ana"], "reference": "none"});
        let mut case = Self {
            policy: Value::Null,
            request: request("r.example/a/app:v1"),
            shape,
            facts: vec![signature(0, "root")],
            rejections: Vec::new(),
            now: hour(4),
        };
        case.policy = json!({
            "ocisign": "policy/1", "name": "case",
            "signers": {
                "ana": {"keys": [{"file": "0"}, {"file": "1", "until": hour(5).to_string()}]},
                "bo": {"keys": [{"file": "2"}]},
                "cleo": {"keys": [{"file": "3"}, {"file": "4"}]}
            },
            "rules": [{"id": "app", "scope": ["r.example/a/app"],
                       "require": [{"id": "signers", "signed": signed}]}]
        });
        case
    }

    /// An index of two images, an attachment and what it holds; signed by ana
    /// on the root.
    fn index() -> Self {
        let mut case = Self::new();
        let mut nodes = vec![node("root", NodeKind::Index, media_type::OCI_INDEX, None)];
        for (name, architecture) in [("one", "amd64"), ("two", "arm64"), ("attached", "unknown")] {
            let at = nodes.len();
            let mut manifest = node(name, NodeKind::Manifest, media_type::OCI_MANIFEST, Some(0));
            let os = if name == "attached" { "unknown" } else { "linux" };
            manifest.declared_platform = Some(platform(os, architecture));
            manifest.platform = manifest.declared_platform.clone();
            nodes.push(manifest);
            let config = format!("{name} config");
            nodes.push(node(&config, NodeKind::Config, media_type::OCI_CONFIG, Some(at)));
            let kind = match name {
                "attached" => media_type::IN_TOTO,
                _ => media_type::OCI_LAYER_GZIP,
            };
            nodes.push(node(&format!("{name} layer"), NodeKind::Layer, kind, Some(at)));
        }
        case.shape.nodes = nodes;
        case
    }

    pub fn verdict(&self) -> Verdict {
        let policy = load(&self.policy).expect("the policy loads");
        let Self { request, shape, facts, rejections, now, .. } = self;
        simulate(&policy, request, shape, facts, rejections, *now).verdict().clone()
    }

    fn row(&self) -> Row {
        self.verdict().row
    }

    fn signed(&mut self) -> &mut Value {
        &mut self.policy["rules"][0]["require"][0]["signed"]
    }

    /// Adds an image check and says what it finds.
    fn image(&self, ask: &Value) -> Vec<String> {
        let mut policy = self.policy.clone();
        let check = json!({"id": "shape", "image": ask});
        policy["rules"][0]["require"].as_array_mut().unwrap().push(check);
        let policy = load(&policy).expect("the policy loads");
        let Self { request, shape, facts, now, .. } = self;
        let verdict = simulate(&policy, request, shape, facts, &[], *now).verdict().clone();
        let rule = verdict.rule.expect("the rule was judged");
        rule.checks.last().unwrap().findings.clone()
    }
}

fn request(reference: &str) -> Request {
    Request {
        reference: reference.parse().unwrap(),
        digest: digest("root"),
        depth: Depth::Layers,
        incomplete: Vec::new(),
    }
}

fn signature(by: u8, on: &str) -> Facts {
    Facts {
        item: format!("bundle {}", by + 1),
        format: Format::Sigstore,
        signer: Signer::Key { key: key(by) },
        claims: Claims {
            subject: Subject { digest: digest(on), size: None, media_type: None },
            name: None,
            annotations: BTreeMap::new(),
            statement: Statement::Signature,
            signed_at: None,
            expires: None,
        },
        times: Vec::new(),
    }
}

fn platform(os: &str, architecture: &str) -> Platform {
    Platform {
        architecture: architecture.to_owned(),
        os: os.to_owned(),
        variant: None,
        os_version: None,
    }
}

fn check(verdict: &Verdict) -> &CheckOutcome {
    &verdict.rule.as_ref().expect("the rule was judged").checks[0]
}

// --- the rows

#[test]
fn row_0_a_policy_counts_from_five_minutes_before_issued_until_expires() {
    let mut case = Case::new();
    case.policy["issued"] = json!(hour(2).to_string());
    case.policy["expires"] = json!(hour(6).to_string());
    let second = SignedDuration::from_secs(1);
    let five = SignedDuration::from_mins(5);
    for (now, want) in [
        (hour(2) - five - second, Row::PolicyNotYetValid),
        (hour(2) - five, Row::Holds),
        (hour(6) - second, Row::Holds),
        (hour(6), Row::PolicyExpired),
    ] {
        case.now = now;
        assert_eq!(case.row(), want, "{now}");
    }
}

#[test]
fn row_1_every_state_of_a_node_has_its_answer() {
    let answers = |at: usize| {
        let mut case = Case::new();
        states().into_iter().map(move |state| {
            case.shape.nodes[at].state = state;
            case.row()
        })
    };
    for at in 0..3 {
        let rows: Vec<_> = answers(at).collect();
        assert!(rows[..5].iter().all(|row| *row == Row::Integrity), "{at}: {rows:?}");
        assert!(rows[5..].iter().all(|row| *row == Row::Incomplete), "{at}: {rows:?}");
    }
}

#[test]
fn row_1_a_tree_of_another_root_is_not_the_one_asked_for() {
    let mut case = Case::new();
    case.request.digest = digest("another");
    assert_eq!(case.row(), Row::Integrity);
    let mut case = Case::new();
    case.request.reference = format!("r.example/a/app@{}", digest("another")).parse().unwrap();
    assert_eq!(case.row(), Row::Integrity);
}

#[test]
fn an_empty_or_loose_tree_is_undecided() {
    let mut case = Case::new();
    case.shape.nodes.clear();
    assert_eq!(case.verdict().decision, Decision::Undecided);
    let mut case = Case::new();
    case.shape.nodes[2].parent = Some(7);
    assert_eq!(case.verdict().decision, Decision::Undecided);
}

#[test]
fn layers_that_are_not_asked_for_may_be_missing() {
    let mut case = Case::new();
    case.request.depth = Depth::Manifests;
    case.shape.depth = Depth::Manifests;
    case.shape.nodes[2].state = NodeState::NotRead;
    assert_eq!(case.row(), Row::Holds);
    case.shape.nodes[1].state = NodeState::Missing;
    assert_eq!(case.row(), Row::Incomplete);
}

#[test]
fn a_layer_kept_elsewhere_is_undecided_unless_an_image_check_denies_it() {
    let mut case = Case::new();
    let urls = vec!["https://elsewhere.test/x".to_owned()];
    case.shape.nodes[2].state = NodeState::External(urls.clone());
    case.shape.nodes[2].urls = urls;
    assert_eq!(case.row(), Row::Incomplete);
    let shape = json!({"id": "shape", "image": {"maxLayers": 9}});
    case.policy["rules"][0]["require"].as_array_mut().unwrap().push(shape);
    assert_eq!(case.row(), Row::Checks);
    case.request.incomplete.push("the listing was cut short".to_owned());
    assert_eq!(case.row(), Row::Incomplete);
    case.request.incomplete.clear();
    case.policy["rules"][0]["mode"] = json!({"auditUntil": hour(9).to_string()});
    assert_eq!(case.row(), Row::Incomplete, "an audit denies nothing");
}

#[test]
fn row_2_any_revoked_node_denies_also_where_the_rule_accepts() {
    for name in ["root", "config", "layer"] {
        let mut case = Case::new();
        let digest = digest(name).to_string();
        case.policy["rules"][0] =
            json!({"id": "app", "scope": ["**"], "accept": {"reason": "why not"}});
        assert_eq!(case.row(), Row::Holds);
        case.policy["revoked"] = json!([{"digest": digest, "reason": "leaks tokens"}]);
        let verdict = case.verdict();
        assert_eq!(verdict.row, Row::Revoked);
        assert!(verdict.findings[0].ends_with("leaks tokens"), "{verdict:?}");
    }
}

#[test]
fn rows_3_and_4_need_no_evidence() {
    let mut case = Case::new();
    case.facts.clear();
    case.request.incomplete.push("nothing was fetched".to_owned());
    case.shape.nodes[2].state = NodeState::Missing;
    let reject = json!([{"id": "no", "scope": ["r.example/**"], "reject": {"reason": "closed"}}]);
    case.policy["baseline"] = reject;
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Rejected);
    assert!(verdict.summary.contains("closed"), "{}", verdict.summary);
    case.request.reference = "r.example/other:v1".parse().unwrap();
    assert_eq!(case.row(), Row::NoRule, "a baseline permits nothing and is not reached");
}

#[test]
fn a_tree_less_deep_than_the_policy_asks_is_undecided() {
    let mut case = Case::new();
    let deep = json!({"id": "deep", "image": {"depth": "contents"}});
    case.policy["baseline"] = json!([{"id": "b", "scope": ["**"], "require": [deep]}]);
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Incomplete);
    assert!(verdict.findings[0].contains("--depth contents"), "{verdict:?}");
    let policy = load(&case.policy).unwrap();
    let repository = case.request.reference.repository();
    assert_eq!(required_depth(&policy, repository), Some(Depth::Contents));
    case.shape.depth = Depth::Contents;
    assert_eq!(case.row(), Row::Holds);
}

#[test]
fn evidence_cut_short_is_undecided_unless_what_there_is_allows() {
    let mut case = Case::new();
    case.request.incomplete.push("the listing was cut short".to_owned());
    assert_eq!(case.row(), Row::Holds);
    case.facts.clear();
    let verdict = case.verdict();
    assert_eq!((verdict.decision, verdict.row), (Decision::Undecided, Row::Incomplete));
    assert_eq!(verdict.findings, ["the listing was cut short"]);
}

#[test]
fn a_simulated_verdict_admits_nothing() {
    let verdict = Case::new().verdict();
    assert_eq!(verdict.decision, Decision::Allow);
    assert!(verdict.admit().is_err());
    let mut case = Case::new();
    case.facts.clear();
    let mut verdict = case.verdict();
    verdict.decision = Decision::Allow;
    assert!(verdict.admit().is_err());
}

// --- signed

/// A case in which `ana` has an OpenPGP key: what signed is a subkey of it.
fn openpgp() -> Case {
    let mut case = Case::new();
    case.policy["signers"]["ana"] = json!({"pgp": {"keyring": {"file": "0"}}});
    case.facts[0].signer = Signer::Pgp {
        key: key(1),
        primary: key(0),
        fingerprint: "08cd26e446e2e95249b7a405e932f44b23e8dd43".to_owned(),
    };
    case
}

#[test]
fn an_openpgp_signer_is_its_primary_key() {
    let case = openpgp();
    let verdict = case.verdict();
    assert_eq!(verdict.decision, Decision::Allow);
    let counted = verdict.rule.unwrap().checks.remove(0).counted.remove(0);
    assert_eq!((counted.signer.as_str(), counted.key), ("ana", key(1)));
    assert!(counted.fingerprint.unwrap().starts_with("08cd26e4"));
}

#[test]
fn no_kind_of_signer_stands_in_for_another() {
    type Change = fn(&mut Case);
    let table: &[(Change, &str)] = &[
        // the same key, bare: nobody says that the primary key vouches for it
        (|c| c.facts[0].signer = Signer::Key { key: key(0) }, "no signer of the policy"),
        // a signer with `keys` takes no signature that OpenPGP's rules judged
        (
            |c| c.policy["signers"]["ana"] = json!({"keys": [{"file": "0"}, {"file": "1"}]}),
            "no signer of the policy",
        ),
        (
            |c| c.policy["revoked"] = json!([{"key": key(0).to_string(), "reason": "stolen"}]),
            "its primary key is revoked: stolen",
        ),
        (
            |c| c.policy["revoked"] = json!([{"key": key(1).to_string(), "reason": "stolen"}]),
            "its key is revoked: stolen",
        ),
    ];
    for (change, said) in table {
        let mut case = openpgp();
        change(&mut case);
        let verdict = case.verdict();
        assert_eq!(verdict.decision, Decision::Deny, "{said}");
        let check = verdict.rule.unwrap().checks.remove(0);
        assert!(check.ignored[0].reason.contains(said), "{:?}", check.ignored);
    }
}

/// What is wrong with one signature, and what the verdict says of it.
#[test]
fn a_signature_that_does_not_count_is_told_why() {
    type Change = fn(&mut Case);
    let table: &[(Change, &str)] = &[
        (|c| c.facts[0].signer = Signer::Key { key: key(STRANGER) }, "no signer of the policy"),
        (|c| c.facts[0].signer = Signer::Key { key: key(2) }, "by `bo`, whom this check"),
        (|c| c.facts[0].claims.subject.digest = digest("x"), "which is not in this image"),
        (|c| c.facts[0].claims.subject.digest = digest("config"), "asks for the requested image"),
        (|c| c.facts[0].claims.subject.size = Some(99), "size of 99 bytes, not 100"),
        (
            |c| c.facts[0].claims.subject.media_type = Some(media_type::OCI_INDEX.to_owned()),
            "signs the media type",
        ),
        (|c| c.facts[0].claims.expires = Some(c.now), "expired at"),
        (|c| c.signed()["formats"] = json!(["cosign"]), "its format is sigstore"),
        (|c| c.signed()["annotations"] = json!({"env": "prod"}), "sign with `-a env=…`"),
        (
            |c| {
                c.signed()["annotations"] = json!({"env": "prod"});
                c.facts[0].claims.annotations.insert("env".to_owned(), "test".to_owned());
            },
            "it signs env=`test`, and `prod` is asked",
        ),
        (|c| c.signed()["reference"] = json!("repository"), "it signs no name"),
        (
            |c| {
                c.facts[0].signer = Signer::Key { key: key(1) };
                c.now = hour(5);
            },
            "key of `ana` is not valid since",
        ),
        (
            |c| c.policy["revoked"] = json!([{"key": key(0).to_string(), "reason": "stolen"}]),
            "its key is revoked: stolen",
        ),
        (
            |c| c.policy["revoked"] = json!([{"signer": "ana", "reason": "left"}]),
            "its signer is revoked: left",
        ),
        (
            |c| {
                c.facts[0].claims.statement = Statement::Attestation {
                    predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
                    predicate: json!({}),
                }
            },
            "it is an attestation",
        ),
    ];
    for (change, want) in table {
        let mut case = Case::new();
        change(&mut case);
        let verdict = case.verdict();
        assert_eq!(verdict.row, Row::Checks, "{want}");
        let outcome = check(&verdict);
        assert!(!outcome.held && outcome.counted.is_empty());
        let [ignored] = outcome.ignored.as_slice() else { panic!("{want}: {outcome:?}") };
        assert!(ignored.reason.contains(want), "{want}: {}", ignored.reason);
    }
}

#[test]
fn a_key_counts_until_its_end() {
    let mut case = Case::new();
    case.facts = vec![signature(1, "root")];
    case.now = hour(5) - SignedDuration::from_secs(1);
    assert_eq!(case.row(), Row::Holds);
}

#[test]
fn annotations_must_all_be_on_one_signature() {
    let mut case = Case::new();
    case.signed()["annotations"] = json!({"env": "prod", "team": "edge"});
    case.facts.push(signature(0, "root"));
    case.facts[0].claims.annotations.insert("env".to_owned(), "prod".to_owned());
    case.facts[1].claims.annotations.insert("team".to_owned(), "edge".to_owned());
    assert_eq!(case.row(), Row::Checks);
    case.facts[1].claims.annotations.insert("env".to_owned(), "prod".to_owned());
    assert_eq!(case.row(), Row::Holds);
}

#[test]
fn two_keys_of_one_signer_are_one_signer() {
    let mut case = Case::new();
    *case.signed() = json!({"by": ["ana", "bo", "cleo"], "atLeast": 2, "reference": "none"});
    case.facts = vec![signature(0, "root"), signature(1, "root"), signature(STRANGER, "root")];
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Checks);
    let outcome = check(&verdict);
    assert_eq!(outcome.counted.len(), 1);
    assert_eq!(outcome.ignored.len(), 2, "every item is counted or ignored");
    assert!(outcome.findings[0].ends_with("1 of 2, by ana"), "{outcome:?}");
    case.facts.push(signature(3, "root"));
    assert_eq!(case.row(), Row::Holds);
}

/// Two signers of one list cannot share a primary key: such a policy does not
/// load. A subkey, of which the policy knows nothing, can be bound by two.
#[test]
fn a_subkey_of_two_openpgp_keys_is_one_key() {
    let by_subkey = |subkey: u8, primary: u8| {
        let mut facts = signature(subkey, "root");
        facts.signer = Signer::Pgp {
            key: key(subkey),
            primary: key(primary),
            fingerprint: format!("{primary:040x}"),
        };
        facts
    };
    let mut case = Case::new();
    for name in ["bo", "cleo"] {
        case.policy["signers"][name] = json!({"pgp": {"keyring": {"file": "keys.asc"}}});
    }
    *case.signed() = json!({"by": ["bo", "cleo"], "atLeast": 2, "reference": "none"});
    let document = parse(case.policy.to_string().as_bytes(), &Limits::default()).unwrap();
    assert!(link_with(document, &[("ana", &[0, 1]), ("bo", &[2]), ("cleo", &[2])]).is_none());

    case.facts = vec![by_subkey(20, 2), by_subkey(20, 3)];
    assert_eq!(case.row(), Row::Checks);
    case.facts.push(by_subkey(30, 3));
    assert_eq!(case.row(), Row::Holds);
    // bare, it is no other key
    *case.signed() = json!({"by": ["ana", "cleo"], "atLeast": 2, "reference": "none"});
    case.facts = vec![signature(0, "root"), by_subkey(0, 3)];
    assert_eq!(case.row(), Row::Checks);
    case.facts.push(by_subkey(31, 3));
    assert_eq!(case.row(), Row::Holds);
}

#[test]
fn each_and_covering_look_at_the_leaves_and_leave_attachments_out() {
    let on = |on: &str, subjects: &[&str]| {
        let mut case = Case::index();
        case.signed()["on"] = json!(on);
        case.facts = subjects.iter().map(|name| signature(0, name)).collect();
        case.row()
    };
    assert_eq!(on("root", &["root"]), Row::Holds);
    assert_eq!(on("root", &["one", "two"]), Row::Checks);
    assert_eq!(on("each", &["root"]), Row::Checks);
    assert_eq!(on("each", &["one"]), Row::Checks);
    assert_eq!(on("each", &["one", "two"]), Row::Holds);
    assert_eq!(on("covering", &["root"]), Row::Holds);
    assert_eq!(on("covering", &["one", "two"]), Row::Holds);
    assert_eq!(on("covering", &["one"]), Row::Checks);
}

#[test]
fn covering_counts_people_per_leaf() {
    let mut case = Case::index();
    *case.signed() = json!({"by": ["ana", "bo"], "atLeast": 2, "reference": "none",
                            "on": "covering"});
    case.facts = vec![signature(0, "root"), signature(2, "one")];
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Checks);
    let two = digest("two").to_string();
    assert!(check(&verdict).findings[0].starts_with(&two), "{verdict:?}");
    case.facts.push(signature(2, "two"));
    assert_eq!(case.row(), Row::Holds);
}

#[test]
fn where_there_is_no_leaf_nothing_is_signed() {
    for on in ["each", "covering"] {
        let mut case = Case::index();
        case.shape.nodes.truncate(1);
        case.signed()["on"] = json!(on);
        assert_eq!(case.row(), Row::Checks);
        assert!(check(&case.verdict()).findings[0].contains("no manifest"));
    }
}

#[test]
fn an_unread_child_is_a_leaf() {
    let mut case = Case::index();
    case.shape.nodes.push(node("odd", NodeKind::Opaque, "application/x", Some(0)));
    case.signed()["on"] = json!("each");
    case.facts = vec![signature(0, "one"), signature(0, "two")];
    assert_eq!(case.row(), Row::Checks);
    case.facts.push(signature(0, "odd"));
    assert_eq!(case.row(), Row::Holds);
}

#[test]
fn a_child_whose_index_is_signed_is_told_of_parent() {
    let mut case = Case::new();
    case.facts[0].claims.subject.digest = digest("index");
    case.facts[0].claims.subject.media_type = Some(media_type::OCI_INDEX.to_owned());
    let verdict = case.verdict();
    let outcome = check(&verdict);
    let parent = format!("--parent {}", digest("index"));
    assert!(outcome.ignored[0].reason.contains(&parent), "{outcome:?}");
    assert!(outcome.findings.iter().any(|f| f.contains("--parent DIGEST")), "{outcome:?}");
}

#[test]
fn the_engine_is_told_whose_signatures_to_look_for() {
    let mut case = Case::index();
    let wanted =
        |case: &Case| wanted_subjects(&load(&case.policy).unwrap(), &case.request, &case.shape);
    assert_eq!(wanted(&case), [digest("root")]);
    case.signed()["on"] = json!("each");
    assert_eq!(wanted(&case), [digest("root"), digest("one"), digest("two")]);
}

// --- names

#[test]
fn signed_and_requested_names_agree_as_reference_says() {
    let pinned = format!("r.example/a/app@{}", digest("root"));
    let both = format!("r.example/a/app:v1@{}", digest("root"));
    let elsewhere = format!("r.example/a/app:v1@{}", digest("x"));
    let table: &[(&str, &str, &str, bool)] = &[
        ("none", "r.example/a/app:v1", "not a name!", true),
        ("repository", "r.example/a/app:v1", "r.example/a/app", true),
        ("repository", "r.example/a/app:v1", "r.example/a/app:v2", true),
        ("repository", "r.example/a/app:v1", "R.Example:443/a/app", true),
        ("repository", "r.example/a/app:v1", "r.example/a/other", false),
        ("repository", "r.example/a/app:v1", "r.example/a/app/x", false),
        ("repository", "r.example/a/app:v1", "not a name!", false),
        ("repository", "r.example/a/app:v1", &elsewhere, false),
        ("exact", "r.example/a/app:v1", "r.example/a/app:v1", true),
        ("exact", "r.example/a/app:v1", &both, true),
        ("exact", "r.example/a/app:v1", "r.example/a/app:v2", false),
        ("exact", "r.example/a/app:v1", "r.example/a/app", false),
        ("exact", "r.example/a/app", "r.example/a/app", false),
        ("exact", "r.example/a/app", "r.example/a/app:latest", true),
        ("exact", &pinned, "r.example/a/app:v1", false),
        ("exact", &both, "r.example/a/app:v1", true),
        ("exact", &both, "r.example/a/app:v2", false),
        ("exactOrDigest", "r.example/a/app:v1", "r.example/a/app:v1", true),
        ("exactOrDigest", "r.example/a/app:v1", "r.example/a/app:v2", false),
        ("exactOrDigest", &pinned, "r.example/a/app:v2", true),
        ("exactOrDigest", &pinned, "r.example/a/app", false),
        ("exactOrDigest", &pinned, "r.example/a/other:v1", false),
        ("exactOrDigest", &both, "r.example/a/app:v2", false),
        ("exactOrDigest", &both, "r.example/a/app:v1", true),
    ];
    for (rule, asked, signed, want) in table {
        let mut case = Case::new();
        case.signed()["reference"] = json!(rule);
        case.request = request(asked);
        case.facts[0].claims.name = Some((*signed).to_owned());
        assert_eq!(case.row() == Row::Holds, *want, "{rule}: {asked} signed as {signed}");
    }
}

#[test]
fn mirrors_map_the_longest_prefix_at_a_boundary_once() {
    let table = [
        ("m.test/hub/a/app:v1", "docker.io/a/app", true),
        ("m.test/hub/app:v1", "docker.io/library/app", true),
        ("m.test/hub/app:v1", "app:v1", true),
        ("m.test/hub/q/app:v1", "q.example/app", true),
        ("m.test/hub/q/app:v1", "docker.io/q/app", false),
        ("m.test/hubs/app:v1", "docker.io/library/app", false),
        ("m.test/hubs/app:v1", "m.test/hubs/app", true),
        ("m.test/hub/a/app:v1", "m.test/hub/a/app", false),
    ];
    for (asked, signed, want) in table {
        let mut case = Case::new();
        case.policy["mirrors"] = json!({"m.test/hub": "docker.io", "m.test/hub/q": "q.example"});
        case.policy["rules"][0]["scope"] = json!(["m.test/**"]);
        case.signed()["reference"] = json!("repository");
        case.request = request(asked);
        case.facts[0].claims.name = Some(signed.to_owned());
        assert_eq!(case.row() == Row::Holds, want, "{asked} signed as {signed}");
    }
}

// --- image

#[test]
fn image_checks_say_what_is_wrong() {
    let mut case = Case::index();
    case.shape.nodes[0].annotations.insert("team".to_owned(), "edge".to_owned());
    let (manifest, index) = (media_type::OCI_MANIFEST, media_type::OCI_INDEX);
    let table: &[(Value, &str)] = &[
        (json!({"manifestTypes": [manifest, index]}), ""),
        (json!({"manifestTypes": [manifest]}), "`manifestTypes` does not list"),
        (json!({"configTypes": [media_type::OCI_CONFIG]}), ""),
        (json!({"configTypes": [media_type::DOCKER_CONFIG]}), "`configTypes` does not list"),
        (json!({"layerTypes": [media_type::OCI_LAYER_GZIP]}), ""),
        (json!({"layerTypes": [media_type::OCI_LAYER]}), "`layerTypes` does not list"),
        (json!({"artifactTypes": [media_type::OCI_CONFIG]}), "no artifact type"),
        (json!({"annotations": {"team": "edge"}}), ""),
        (json!({"annotations": {"team": "core"}}), "`core` is asked"),
        (json!({"annotations": {"stage": "*"}}), "no annotation stage"),
        (json!({"platforms": {"require": ["linux/amd64", "linux/arm64/v8"]}}), ""),
        (json!({"platforms": {"require": ["linux/s390x"]}}), "no platform linux/s390x"),
        (json!({"platforms": {"allow": ["linux/amd64", "linux/arm64"]}}), ""),
        (json!({"platforms": {"allow": ["linux/amd64"]}}), "linux/arm64, which is not allowed"),
        (json!({"digestAlgorithms": ["sha256"]}), ""),
        (json!({"digestAlgorithms": ["sha512"]}), "algorithm that is not allowed"),
        (json!({"maxDepth": 1}), ""),
        (json!({"maxManifests": 3}), ""),
        (json!({"maxManifests": 2}), "3 manifests"),
        (json!({"maxLayers": 1}), ""),
        (json!({"maxLayerBytes": 100}), ""),
        (json!({"maxLayerBytes": 99}), "100 bytes"),
        (json!({"maxImageBytes": 300}), ""),
        (json!({"maxImageBytes": 299}), "300 bytes"),
        (json!({"config": {"type": "object", "minProperties": 1}}), "not read as an image's"),
    ];
    for (ask, want) in table {
        let findings = case.image(ask);
        match *want {
            "" => assert!(findings.is_empty(), "{ask}: {findings:?}"),
            want => assert!(findings.iter().any(|f| f.contains(want)), "{ask}: {findings:?}"),
        }
    }
}

#[test]
fn a_nested_index_is_deeper() {
    let mut case = Case::index();
    case.shape.nodes.push(node("inner", NodeKind::Index, media_type::OCI_INDEX, Some(0)));
    assert!(case.image(&json!({"maxDepth": 2})).is_empty());
    assert!(case.image(&json!({"maxDepth": 1}))[0].contains("2 indexes deep"));
}

#[test]
fn an_image_without_layers_needs_allow_empty() {
    let mut case = Case::new();
    case.shape.nodes.truncate(2);
    let types = json!([media_type::OCI_LAYER_GZIP]);
    assert!(case.image(&json!({"layerTypes": types}))[0].contains("allowEmpty"));
    assert!(case.image(&json!({"layerTypes": types, "allowEmpty": true})).is_empty());
}

#[test]
fn layers_with_urls_fail_from_depth_layers_on() {
    let mut case = Case::new();
    case.shape.nodes[2].urls.push("https://elsewhere.test/x".to_owned());
    assert!(case.image(&json!({"maxLayers": 9}))[0].contains("urls"));
    case.request.depth = Depth::Manifests;
    assert!(case.image(&json!({"maxLayers": 9})).is_empty());
    assert!(!case.image(&json!({"depth": "layers"})).is_empty());
}

#[test]
fn an_unread_child_passes_by_its_type_only() {
    let mut case = Case::index();
    case.shape.nodes.push(node("odd", NodeKind::Opaque, "application/x", Some(0)));
    let layers = json!([media_type::OCI_LAYER_GZIP]);
    assert!(case.image(&json!({"layerTypes": layers}))[0].contains("list it in `manifestTypes`"));
    let listed = json!([media_type::OCI_MANIFEST, media_type::OCI_INDEX, "application/x"]);
    assert!(case.image(&json!({"layerTypes": layers, "manifestTypes": listed})).is_empty());
}

#[test]
fn a_platform_that_only_a_descriptor_states_is_not_offered() {
    let mut case = Case::index();
    let mut odd = node("odd", NodeKind::Opaque, "application/x", Some(0));
    odd.declared_platform = Some(platform("linux", "s390x"));
    case.shape.nodes.push(odd);
    let findings = case.image(&json!({"platforms": {"require": ["linux/s390x"]}}));
    assert_eq!(findings, ["the image has no platform linux/s390x"]);
}

#[test]
fn a_descriptor_that_lies_about_its_platform_is_found_out() {
    let mut case = Case::index();
    case.shape.nodes[1].platform = Some(platform("linux", "s390x"));
    for ask in ["require", "allow"] {
        let findings = case.image(&json!({"platforms": {ask: ["linux/arm64", "linux/s390x"]}}));
        assert!(findings[0].starts_with("platform-mismatch"), "{findings:?}");
    }
    // the config's own text comes before what was read from it
    let config = json!({"os": "linux", "architecture": "amd64", "variant": null});
    case.shape.nodes[2].json = Some(config);
    let both = json!({"platforms": {"require": ["linux/amd64", "linux/arm64"]}});
    assert!(case.image(&both).is_empty());
}

#[test]
fn a_single_image_must_be_of_an_allowed_platform_and_offers_no_others() {
    let mut case = Case::new();
    let both = json!(["linux/amd64", "linux/arm64"]);
    assert!(case.image(&json!({"platforms": {"allow": both}}))[0].contains("cannot be read"));
    case.shape.nodes[0].platform = Some(platform("linux", "amd64"));
    assert!(case.image(&json!({"platforms": {"allow": both, "require": both}})).is_empty());
    case.shape.nodes[0].platform = Some(platform("linux", "s390x"));
    assert!(!case.image(&json!({"platforms": {"allow": both}})).is_empty());
}

#[test]
fn schemas_are_held_against_configs_and_manifests() {
    let mut case = Case::new();
    let schema = json!({"type": "object", "required": ["User"],
                        "properties": {"User": {"type": "string", "enum": ["1000"]}}});
    case.shape.nodes[1].json = Some(json!({"User": "1000"}));
    assert!(case.image(&json!({"config": schema})).is_empty());
    case.shape.nodes[1].json = Some(json!({"User": "root"}));
    assert!(!case.image(&json!({"config": schema})).is_empty());
    case.shape.nodes[0].json = Some(json!({"User": "1000"}));
    assert!(case.image(&json!({"manifest": schema})).is_empty());
}

// --- anyOf, audit, exceptions

#[test]
fn any_of_holds_with_one_branch_in_full() {
    let mut case = Case::new();
    let signed = |by: &str| json!({"id": by, "signed": {"by": [by], "reference": "none"}});
    case.policy["rules"][0]["require"] = json!([{"id": "either", "anyOf": [
        [signed("bo")], [signed("ana"), {"id": "small", "image": {"maxLayers": 1}}]
    ]}]);
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Holds);
    let held: Vec<_> = check(&verdict).branches.iter().map(|b| b.iter().all(|c| c.held)).collect();
    assert_eq!(held, [false, true]);
    case.shape.nodes.push(node("more", NodeKind::Layer, media_type::OCI_LAYER, Some(0)));
    assert_eq!(case.row(), Row::Checks);
}

#[test]
fn an_audit_reports_until_its_end_and_blocks_from_then_on() {
    let mut case = Case::new();
    case.policy["rules"][0]["mode"] = json!({"auditUntil": hour(5).to_string()});
    case.facts.clear();
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Holds);
    assert_eq!(verdict.would_deny, ["app/signers"]);
    assert!(!check(&verdict).held && verdict.rule.as_ref().unwrap().held);
    case.now = hour(5);
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Checks);
    assert!(verdict.would_deny.is_empty());
}

fn exception(target: (&str, Value), unsigned: bool) -> Value {
    let mut exception = json!({
        "id": "lost-key", "waive": ["app/signers"], "reason": "the key is lost",
        "approvedBy": "dora", "from": hour(3).to_string(), "until": hour(6).to_string()
    });
    exception[target.0] = target.1;
    if unsigned {
        exception["acceptUnsigned"] = json!(true);
    }
    json!([exception])
}

#[test]
fn an_exception_exists_from_its_beginning_until_before_its_end() {
    let mut case = Case::new();
    case.facts.clear();
    case.policy["exceptions"] = exception(("scope", json!(["r.example/a/**"])), true);
    let second = SignedDuration::from_secs(1);
    for (now, want) in [
        (hour(3) - second, Row::Checks),
        (hour(3), Row::Holds),
        (hour(6) - second, Row::Holds),
        (hour(6), Row::Checks),
    ] {
        case.now = now;
        let verdict = case.verdict();
        assert_eq!(verdict.row, want, "{now}");
        assert_eq!(verdict.exceptions_used.len(), usize::from(want == Row::Holds));
    }
}

#[test]
fn an_exception_applies_where_it_says_only() {
    for (target, want) in [
        (("scope", json!(["r.example/b/**"])), Row::Checks),
        (("digests", json!([digest("root").to_string()])), Row::Holds),
        (("digests", json!([digest("layer").to_string()])), Row::Checks),
    ] {
        let mut case = Case::new();
        case.facts.clear();
        case.policy["exceptions"] = exception(target, true);
        assert_eq!(case.row(), want);
    }
}

#[test]
fn an_exception_that_leaves_no_proof_must_say_so_to_load() {
    let mut case = Case::new();
    case.policy["exceptions"] = exception(("scope", json!(["**"])), false);
    assert!(load(&case.policy).is_none());
    let bo = json!({"id": "bo", "signed": {"by": ["bo"], "reference": "none"}});
    case.policy["rules"][0]["require"].as_array_mut().unwrap().push(bo);
    assert_eq!(case.row(), Row::Checks);
    case.facts = vec![signature(2, "root")];
    assert_eq!(case.row(), Row::Holds, "ana's check is waived, bo's is the proof");
}

/// Loading refuses such a policy; a document that was put together in code
/// meets the same answer when it is judged.
#[test]
fn an_exception_that_leaves_no_proof_denies_when_judged_as_well() {
    let mut case = Case::new();
    case.policy["exceptions"] = exception(("scope", json!(["**"])), true);
    let document = load(&case.policy).unwrap().document().clone();
    let judge = |unsigned: bool| {
        let mut document = document.clone();
        document.exceptions[0].accept_unsigned = unsigned;
        let policy = link(document).unwrap();
        let Case { request, shape, facts, now, .. } = &case;
        simulate(&policy, request, shape, facts, &[], *now).verdict().clone()
    };
    assert_eq!(judge(true).row, Row::Holds);
    let verdict = judge(false);
    assert_eq!(verdict.row, Row::Checks);
    assert!(check(&verdict).findings[0].contains("acceptUnsigned"), "{verdict:?}");
}

#[test]
fn a_baseline_rule_whose_last_check_is_waived_holds() {
    let mut case = Case::new();
    case.policy["baseline"] = json!([{"id": "base", "scope": ["**"], "require": [
        {"id": "bo", "signed": {"by": ["bo"], "reference": "none"}}
    ]}]);
    assert_eq!(case.row(), Row::Checks);
    case.policy["exceptions"] = exception(("scope", json!(["**"])), false);
    case.policy["exceptions"][0]["waive"] = json!(["base/bo"]);
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Holds);
    assert_eq!(verdict.exceptions_used, ["lost-key"]);
    assert_eq!(verdict.baseline[0].checks[0].waived_by, ["lost-key"]);
}

#[test]
fn accept_waives_signatures_and_not_the_baseline() {
    let mut case = Case::new();
    case.facts.clear();
    case.policy["rules"][0] =
        json!({"id": "app", "scope": ["**"], "accept": {"reason": "public demo"}});
    let verdict = case.verdict();
    assert_eq!(verdict.row, Row::Holds);
    assert!(verdict.summary.contains("public demo"), "{}", verdict.summary);
    case.policy["baseline"] = json!([{"id": "base", "scope": ["**"], "require": [
        {"id": "bo", "signed": {"by": ["bo"], "reference": "none"}}
    ]}]);
    assert_eq!(case.row(), Row::Checks);
}

// --- explain

#[test]
fn explain_says_what_is_asked_and_which_exceptions_are_live() {
    let mut case = Case::new();
    case.policy["exceptions"] = exception(("scope", json!(["**"])), true);
    case.policy["baseline"] = json!([{"id": "base", "scope": ["r.example/**"], "require": [
        {"id": "small", "image": {"maxLayers": 4, "depth": "contents"}}
    ]}]);
    let policy = load(&case.policy).unwrap();
    let told = |name: &str, now| explain(&policy, &name.parse().unwrap(), now);
    assert_eq!(
        told("r.example/a/app", hour(4)),
        format!(
            "r.example/a/app under policy case\n\
             rule app (r.example/a/app) requires all of:\n\
             \x20 signers: a signature of ana\n\
             baseline base (r.example/**) requires all of:\n\
             \x20 small: recomputed to depth contents; most layers: 4\n\
             recomputes the image to depth contents at least\n\
             exception lost-key waives app/signers until {}: the key is lost (approved by dora)\n",
            hour(6)
        )
    );
    assert!(!told("r.example/a/app", hour(6)).contains("lost-key"));
    assert!(told("other.test/x", hour(4)).contains("no rule matches: denied (no-rule)"));
}
