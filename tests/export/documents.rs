//! What each part of a policy becomes, and what is refused with which words.

use ocisign::policy::export::{Dates, DefaultDocker, Export, Options, Subtrees};
use serde_json::{Value, json};

use super::evaluator::{Name, Signature, allows};
use super::{export, hour, load, pem, signers};

/// A policy with these rules.
fn with(rules: Value) -> Value {
    json!({"ocisign": "policy/1", "name": "p", "signers": signers(), "rules": rules})
}

fn signed(by: &[&str], at_least: usize, reference: &str) -> Value {
    json!({"by": by, "atLeast": at_least, "reference": reference})
}

fn require(id: &str, scope: &[&str], signed: Value) -> Value {
    json!({"id": id, "scope": scope, "require": [{"id": "s", "signed": signed}]})
}

fn accept(id: &str, scope: &[&str]) -> Value {
    json!({"id": id, "scope": scope, "accept": {"reason": "nobody signs it"}})
}

fn reject(id: &str, scope: &[&str]) -> Value {
    json!({"id": id, "scope": scope, "reject": {"reason": "not this one"}})
}

/// What is exported at hour 0.
#[track_caller]
fn exported(policy: &Value, options: Options) -> Export {
    export(&load(policy).expect("it loads"), &options, hour(0)).unwrap_or_else(|e| panic!("{e:#?}"))
}

fn file(policy: &Value, options: Options) -> Value {
    serde_json::from_str(&exported(policy, options).policy).unwrap()
}

/// `docker` of the file, with the numbers of the keys in place of the keys:
/// each requirement as its identity and keys, or its type.
fn docker(policy: &Value, options: Options) -> Value {
    let mut docker = file(policy, options)["transports"]["docker"].clone();
    for list in docker.as_object_mut().into_iter().flatten() {
        for entry in list.1.as_array_mut().unwrap() {
            *entry = short(entry);
        }
    }
    docker
}

fn short(entry: &Value) -> Value {
    let keys = match entry.get("keyData") {
        Some(one) => vec![one],
        None => entry["keyDatas"].as_array().into_iter().flatten().collect(),
    };
    if keys.is_empty() {
        return entry["type"].clone();
    }
    let number =
        |key: &Value| (0..6).find(|n| *key == base64(&pem(*n))).unwrap_or_else(|| panic!("{key}"));
    let mut keys: Vec<u8> = keys.into_iter().map(number).collect();
    keys.sort_unstable();
    json!([entry["signedIdentity"]["type"], keys])
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What cannot be said, as `about: why`.
#[track_caller]
fn unsaid(policy: &Value, options: Options) -> Vec<String> {
    let unsaid = export(&load(policy).expect("it loads"), &options, hour(0)).unwrap_err();
    unsaid.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn one_unsaid(policy: &Value, about: &str, why: &str) {
    let found = unsaid(policy, Options::default());
    let about = format!("`{about}`: ");
    assert!(found.len() == 1 && found[0].starts_with(&about), "{found:#?}");
    assert!(found[0].contains(why), "no `{why}` in {found:#?}");
}

const WIDEN: Options = Options {
    dates: Dates::Refuse,
    subtrees: Subtrees::Widen,
    default_docker: DefaultDocker::Leave,
};
const SNAPSHOT: Options = Options {
    dates: Dates::Snapshot,
    subtrees: Subtrees::Apart,
    default_docker: DefaultDocker::Leave,
};

#[test]
fn the_files_in_full() {
    let export = exported(
        &with(json!([
            require("own", &["r.example/**"], signed(&["bo"], 1, "exactOrDigest")),
            accept("pause", &["k8s.example/pause", "k8s.example/pause/**"]),
        ])),
        Options::default(),
    );
    let file: Value = serde_json::from_str(&export.policy).unwrap();
    assert_eq!(
        file,
        json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {
                "k8s.example/pause": [{"type": "insecureAcceptAnything"}],
                "r.example": [{
                    "type": "sigstoreSigned",
                    "keyData": base64(&pem(2)),
                    "signedIdentity": {"type": "matchRepoDigestOrExact"},
                }],
            }},
        })
    );
    let (comment, yaml) = export.registries.split_once("docker:\n").unwrap();
    assert!(comment.lines().all(|line| line.starts_with("# ")), "{comment}");
    assert_eq!(yaml, "  \"r.example\":\n    use-sigstore-attachments: true\n");
    assert_eq!((export.stricter, export.until), (vec![], None));
}

#[test]
fn a_policy_that_permits_nothing_rejects_everything() {
    let export = exported(&with(json!([reject("none", &["**"])])), Options::default());
    let file: Value = serde_json::from_str(&export.policy).unwrap();
    assert_eq!(file["default"], json!([{"type": "reject"}]));
    assert_eq!(file["transports"]["docker"], json!({"": [{"type": "reject"}]}));
    assert!(export.registries.ends_with("docker: {}\n") && export.notes.is_empty());
}

#[test]
fn people_are_counted_there_too() {
    let of = |by: &[&str], at_least| {
        let rule = require("r", &["r.example/**"], signed(by, at_least, "repository"));
        docker(&with(json!([rule])), Options::default())["r.example"].clone()
    };
    let match_ = |keys: &[u8]| json!(["matchRepository", keys]);
    // the two keys of ana are one signer
    assert_eq!(of(&["ana"], 1), json!([match_(&[0, 1])]));
    assert_eq!(of(&["ana", "bo"], 1), json!([match_(&[0, 1, 2])]));
    let both = of(&["bo", "dora"], 2);
    assert!(
        both == json!([match_(&[2]), match_(&[5])]) || both == json!([match_(&[5]), match_(&[2])])
    );
    // two of three: of every two of them, one
    let mut clauses: Vec<String> = of(&["ana", "bo", "dora"], 2)
        .as_array()
        .unwrap()
        .iter()
        .map(|clause| clause[1].to_string())
        .collect();
    clauses.sort();
    assert_eq!(clauses, ["[0,1,2]", "[0,1,5]", "[2,5]"]);
}

#[test]
fn names_are_compared_as_the_policy_asks_or_more_strictly() {
    for (reference, kind, remarks) in [
        ("none", "matchRepository", 1),
        ("repository", "matchRepository", 0),
        ("exactOrDigest", "matchRepoDigestOrExact", 0),
        ("exact", "matchExact", 0),
    ] {
        let policy = with(json!([require("r", &["r.example/**"], signed(&["bo"], 1, reference))]));
        let export = exported(&policy, Options::default());
        assert!(export.policy.contains(&format!("\"{kind}\"")), "{}", export.policy);
        assert_eq!(export.stricter.len(), remarks, "{:?}", export.stricter);
    }
}

#[test]
fn a_mirror_is_a_remapped_identity() {
    let mirrored = |reference: &str| {
        let rules = json!([require("r", &["m.example/**"], signed(&["bo"], 1, reference))]);
        let mut policy = with(rules);
        policy["mirrors"] = json!({"m.example/hub": "docker.io"});
        policy
    };
    let file = file(&mirrored("exactOrDigest"), Options::default());
    let docker = &file["transports"]["docker"];
    let remap =
        json!({"type": "remapIdentity", "prefix": "m.example/hub", "signedPrefix": "docker.io"});
    assert_eq!(docker["m.example/hub"][0]["signedIdentity"], remap);
    let kind = &docker["m.example"][0]["signedIdentity"]["type"];
    assert_eq!(kind, "matchRepoDigestOrExact");
    // it compares tags, for want of another
    let remarks = exported(&mirrored("repository"), Options::default()).stricter;
    assert!(remarks.iter().any(|remark| remark.about == "r/s"), "{remarks:?}");
    one_unsaid(&mirrored("exact"), "r/s", "write `exactOrDigest`");
}

#[test]
fn the_baseline_stands_in_every_scope() {
    let mut policy = with(json!([
        require("wide", &["r.example/**"], signed(&["bo"], 1, "repository")),
        accept("free", &["r.example/free", "r.example/free/**"]),
    ]));
    policy["baseline"] =
        json!([require("all", &["r.example/**"], signed(&["dora"], 1, "repository"))]);
    let docker = docker(&policy, Options::default());
    assert_eq!(docker["r.example/free"], json!([["matchRepository", [5]]]));
    assert_eq!(docker["r.example"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_said_is_named_with_its_rule() {
    let of = |signed: Value| with(json!([require("r", &["r.example/**"], signed)]));
    let mut ask = signed(&["bo"], 1, "repository");
    ask["annotations"] = json!({"env": "prod"});
    one_unsaid(&of(ask), "r/s", "no signed annotations");
    let mut ask = signed(&["bo"], 1, "repository");
    ask["formats"] = json!(["sigstore"]);
    one_unsaid(&of(ask), "r/s", "add `cosign` to `formats`");

    let mut policy = of(signed(&["bo"], 1, "repository"));
    policy["baseline"] = json!([{"id": "small", "scope": ["**"],
        "require": [{"id": "layers", "image": {"maxLayers": 9}}]}]);
    one_unsaid(&policy, "small/layers", "does not look into images");
    // where everything is rejected the limits need not be said
    policy["rules"] = json!([reject("r", &["r.example/**"])]);
    exported(&policy, Options::default());

    let mut policy = of(signed(&["bo"], 1, "repository"));
    policy["revoked"] =
        json!([{"digest": format!("sha256:{}", "9".repeat(64)), "reason": "leaks"}]);
    one_unsaid(&policy, "/revoked/0", "knows images by name");

    let branches = json!([
        [{"id": "a", "signed": signed(&["ana"], 1, "repository")}],
        [{"id": "b", "signed": signed(&["bo"], 1, "exact")}],
    ]);
    let rule = json!({"id": "r", "scope": ["r.example/**"],
        "require": [{"id": "or", "anyOf": branches}]});
    one_unsaid(&with(json!([rule])), "r/or", "the same `reference`");
}

#[test]
fn too_many_requirements_are_no_file() {
    let mut policy = with(json!([]));
    let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let ids: std::collections::BTreeMap<_, _> = names
        .iter()
        .enumerate()
        .map(|(n, name)| (name.clone(), vec![super::key(n as u8)]))
        .collect();
    policy["signers"] =
        names.iter().map(|name| (name.clone(), json!({"keys": [{"file": name}]}))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    policy["rules"] = json!([require("r", &["r.example/**"], signed(&names, 6, "repository"))]);
    let bytes = serde_json::to_vec(&policy).unwrap();
    let document = ocisign::policy::parse(&bytes, &ocisign::Limits::default()).unwrap();
    let resolved = ocisign::policy::Resolved { signers: ids };
    let policy = ocisign::policy::Policy::link(document, resolved).unwrap();
    let unsaid = export(&policy, &Options::default(), hour(0)).unwrap_err();
    assert!(unsaid[0].why.contains("name fewer signers"), "{unsaid:?}");
}

#[test]
fn all_problems_are_told_at_once() {
    let mut annotated = signed(&["ana", "bo"], 1, "repository");
    annotated["annotations"] = json!({"env": "prod"});
    annotated["formats"] = json!(["sigstore"]);
    let mut policy = with(json!([
        require("one", &["r.example/**"], annotated),
        {"id": "two", "scope": ["s.example/**"], "require": [
            {"id": "by", "signed": signed(&["ana"], 1, "none")},
            {"id": "shape", "image": {"maxLayers": 9}}]},
        require("three", &["t.example/app"], signed(&["bo"], 1, "exact")),
    ]));
    policy["signers"]["ana"]["keys"][0]["until"] = json!(hour(9).to_string());
    policy["expires"] = json!(hour(99).to_string());
    policy["revoked"] = json!([{"digest": format!("sha256:{}", "9".repeat(64)), "reason": "x"}]);
    let found = unsaid(&policy, Options::default());
    let about: Vec<_> = found.iter().map(|one| one.split("`").nth(1).unwrap()).collect();
    let key = "/signers/ana/keys/0";
    assert_eq!(about, ["/expires", "/revoked/0", key, "one/s", "one/s", "three", "two/shape"]);
}

/// policy.json has no dates. A snapshot has one, and says so.
#[test]
fn dates_are_refused_or_end_the_files() {
    let mut policy = with(json!([require("r", &["r.example/**"], signed(&["ana"], 1, "exact"))]));
    policy["signers"]["ana"]["keys"][0]["until"] = json!(hour(-1).to_string());
    let docker_of = |policy: &Value| docker(policy, SNAPSHOT)["r.example"].clone();
    // what has ended is left out, whatever the option
    assert_eq!(exported(&policy, Options::default()).until, None);
    assert_eq!(docker_of(&policy), json!([["matchExact", [1]]]));

    policy["signers"]["ana"]["keys"][1]["until"] = json!(hour(5).to_string());
    one_unsaid(&policy, "/signers/ana/keys/1", "--snapshot");
    assert_eq!(exported(&policy, SNAPSHOT).until, Some(hour(5)));

    policy["expires"] = json!(hour(3).to_string());
    let export = exported(&policy, SNAPSHOT);
    assert_eq!(export.until, Some(hour(3)));
    assert!(export.registries.contains(&format!("Export again before {}", hour(3))));

    // an expired policy denies everything for ever, which can be said
    policy["expires"] = json!(hour(0).to_string());
    let export = exported(&policy, Options::default());
    assert_eq!(export.until, None);
    let file: Value = serde_json::from_str(&export.policy).unwrap();
    assert_eq!(file, json!({"default": [{"type": "reject"}], "transports": {}}));

    policy["expires"] = json!(hour(9).to_string());
    policy["issued"] = json!(hour(2).to_string());
    assert!(unsaid(&policy, SNAPSHOT)[0].starts_with("`/issued`"));
}

#[test]
fn who_is_revoked_is_left_out() {
    let mut policy = with(json!([
        require("one", &["r.example/**"], signed(&["ana", "bo"], 1, "exact")),
        require("two", &["s.example/**"], signed(&["bo", "dora"], 2, "exact")),
    ]));
    policy["revoked"] = json!([{"signer": "bo", "reason": "left"},
        {"key": super::key(0).to_string(), "reason": "lost"}]);
    let docker = docker(&policy, Options::default());
    assert_eq!(docker["r.example"], json!([["matchExact", [1]]]));
    assert_eq!(docker["s.example"], json!(["reject"]), "two of one");
}

/// policy.json has neither audits nor exceptions: what they would let through
/// is denied, and said.
#[test]
fn what_is_let_through_for_a_while_is_not() {
    let mut rule = require("r", &["r.example/**"], signed(&["bo"], 1, "exact"));
    rule["mode"] = json!({"auditUntil": hour(5).to_string()});
    let mut policy = with(json!([rule]));
    policy["exceptions"] = json!([{"id": "hotfix", "scope": ["r.example/**"], "waive": ["r/s"],
        "from": hour(-5).to_string(), "until": hour(5).to_string(), "reason": "x",
        "approvedBy": "dora", "acceptUnsigned": true}]);
    let export = exported(&policy, Options::default());
    let about: Vec<_> = export.stricter.iter().map(|remark| remark.about.as_str()).collect();
    assert_eq!((about, export.until), (vec!["hotfix", "r"], None));
    let docker = docker(&policy, Options::default());
    assert_eq!(docker["r.example"], json!([["matchExact", [2]]]));
}

/// To policy.json a repository and the names below it are one scope.
#[test]
fn a_repository_and_what_is_below_it() {
    let bo = || signed(&["bo"], 1, "exact");
    for (scope, other) in
        [("r.example/app", "r.example/app/**"), ("r.example/app/**", "r.example/app")]
    {
        let policy = with(json!([require("r", &[scope], bo())]));
        one_unsaid(&policy, "r", &format!("add `{other}` to the scope"));
        let both = with(json!([require("r", &[scope, other], bo())]));
        let said = docker(&both, Options::default());
        assert_eq!(said, json!({"r.example/app": [["matchExact", [2]]]}));
        assert_eq!(docker(&policy, WIDEN), said);
    }
    // a rule that asks for more than what is around it can be said: the names
    // on the other side are held to it too
    let stricter = with(json!([
        require("wide", &["r.example/**"], bo()),
        require("app", &["r.example/app"], signed(&["bo", "dora"], 2, "exact")),
    ]));
    let export = exported(&stricter, Options::default());
    assert_eq!(export.stricter.len(), 1, "{:?}", export.stricter);
    assert!(export.policy.contains("r.example/app"));
    // no repository has the name `docker.io/me`, so nothing is confused
    exported(&with(json!([require("r", &["docker.io/me/**"], bo())])), Options::default());
    // two rules that differ stay two, whatever the option
    let two = with(json!([
        require("app", &["r.example/app"], bo()),
        require("below", &["r.example/app/**"], signed(&["dora"], 1, "exact")),
    ]));
    let found = unsaid(&two, WIDEN);
    assert!(found.len() == 2 && found[0].contains("give both the same rule"), "{found:?}");
}

#[test]
fn wildcards_have_no_port() {
    let rule = require("r", &["*.r.example:5000/**"], signed(&["bo"], 1, "exact"));
    one_unsaid(&with(json!([rule])), "r", "name the hosts");
    let rule = require("r", &["*.r.example/**"], signed(&["bo"], 1, "exact"));
    let said = docker(&with(json!([rule])), Options::default());
    assert_eq!(said, json!({"*.r.example": [["matchExact", [2]]]}));
}

/// `R.example`, `r.example:443` and `registry-1.docker.io` are other names to
/// containers/image, and other spellings to ocisign.
#[test]
fn other_spellings_of_a_name_are_no_way_around_its_rule() {
    let bypassed = with(json!([accept("any", &["**"]), reject("bad", &["r.example/**"])]));
    one_unsaid(&bypassed, "any", "letter by letter");
    let closed = with(json!([
        reject("none", &["**"]),
        require("own", &["r.example/**"], signed(&["bo"], 1, "repository")),
    ]));
    exported(&closed, Options::default());
    // asking for as much as the narrower rule is enough
    let both = with(json!([
        require("any", &["**"], signed(&["bo", "dora"], 2, "repository")),
        require("own", &["r.example/**"], signed(&["bo", "dora"], 1, "repository")),
    ]));
    exported(&both, Options::default());
    let hub = with(json!([
        accept("any", &["*.docker.io/**"]),
        reject("bad", &["docker.io/bad/**"]),
        accept("good", &["docker.io/**"]),
    ]));
    one_unsaid(&hub, "any", "letter by letter");
}

/// `*.docker.io` would take in Docker Hub itself, by its other name.
#[test]
fn a_wildcard_does_not_let_docker_hub_in() {
    let policy = with(json!([accept("any", &["*.docker.io/**"])]));
    let name = Name::parse("registry-1.docker.io/me/app:v1").unwrap();
    let loose = json!({"default": [{"type": "reject"}], "transports": {"docker": {
        "*.docker.io": [{"type": "insecureAcceptAnything"}]}}});
    assert!(allows(&loose, &name, &[]), "this is how it would be");
    one_unsaid(&policy, "any", "Docker Hub");
}

/// The one thing that the two read differently (docs/export.md): a trusted
/// signer who signs a name with a digest in it.
#[test]
fn a_signed_name_with_a_digest_is_compared_by_its_repository_alone() {
    let policy = with(json!([require("r", &["r.example/**"], signed(&["bo"], 1, "repository"))]));
    let file = file(&policy, Options::default());
    let name = format!("r.example/app@sha256:{}", "9".repeat(64));
    let signature = Signature { key: pem(2), name };
    assert!(allows(&file, &Name::parse("r.example/app:v1").unwrap(), &[signature]));
}

/// `default-docker` may stand in one file of registries.d alone, so it is
/// written on demand; without it less is allowed.
#[test]
fn default_docker_is_written_on_demand() {
    let policy = with(json!([require("r", &["**"], signed(&["bo"], 1, "repository"))]));
    let export = exported(&policy, Options::default());
    assert!(export.registries.ends_with("docker: {}\n"));
    assert!(export.notes.iter().any(|note| note.contains("--default-docker")));
    let options = Options { default_docker: DefaultDocker::Write, ..Options::default() };
    let export = exported(&policy, options);
    let want = "default-docker:\n  use-sigstore-attachments: true\ndocker: {}\n";
    assert!(export.registries.ends_with(want), "{}", export.registries);
    assert!(!export.notes.iter().any(|note| note.contains("--default-docker")));
    // an accepted `**` needs no signatures
    let open = with(json!([accept("any", &["**"])]));
    assert!(exported(&open, options).registries.ends_with("docker: {}\n"));
}

#[test]
fn several_keys_need_a_newer_reader() {
    let of = |by: &[&str]| {
        let rule = require("r", &["r.example/**"], signed(by, 1, "repository"));
        exported(&with(json!([rule])), Options::default()).notes.len()
    };
    assert_eq!((of(&["bo"]), of(&["ana"])), (1, 2));
}

/// The example of the page is what is written.
#[test]
fn the_page_shows_what_is_exported() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/export.md"));
    let page = page.unwrap();
    let blocks = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks: Vec<&str> = blocks.collect();
    let (policy, shown) = (blocks[0], blocks[1]);
    let document = ocisign::policy::parse(policy.as_bytes(), &ocisign::Limits::default()).unwrap();
    let policy = ocisign::policy::test::link_by_name(document).unwrap();
    let keys = ["ana", "bo", "ci"].iter().flat_map(|name| policy.keys(name));
    let pems = keys.map(|key| (key.id.clone(), String::new())).collect();
    let limits = ocisign::Limits::default();
    let export = ocisign::policy::export::containers_policy(
        &policy,
        &pems,
        &Options::default(),
        hour(0),
        &limits,
    );
    let mut written: Value = serde_json::from_str(&export.unwrap().policy).unwrap();
    cut_keys(&mut written);
    // the order of requirements is that of the keys, which the page does not have
    let sorted = |mut file: Value| {
        for (_, list) in file["transports"]["docker"].as_object_mut().unwrap() {
            list.as_array_mut().unwrap().sort_by_key(ToString::to_string);
        }
        file
    };
    assert_eq!(sorted(written), sorted(serde_json::from_str(shown).unwrap()));
}

fn cut_keys(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match name.as_str() {
                    "keyData" => *value = json!("LS0tLS1C…"),
                    "keyDatas" => {
                        value.as_array_mut().unwrap().fill(json!("LS0tLS1C…"));
                    }
                    _ => cut_keys(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(cut_keys),
        _ => {}
    }
}
