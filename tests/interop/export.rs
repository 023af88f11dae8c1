//! `ocisign export containers-policy` against those who read the files: the
//! library of podman and CRI-O (`.ci/containers-image`) and Debian's skopeo,
//! which knows no signatures of this kind and says so.

use serde_json::{Value, json};

use super::common::peers;
use super::common::run::{Ran, Sandbox};
use super::evaluator::{Name, Signature, allows};
use super::real::Real;

/// A policy with the signers `me` and `other`, and its export in `out`.
fn export(s: &Sandbox, rules: &Value, more: &Value, options: &str) -> Ran {
    let mut policy = json!({
        "ocisign": "policy/1", "name": "test",
        "signers": {
            "me": {"keys": [{"file": "me.pub"}]},
            "other": {"keys": [{"file": "other.pub"}]},
        },
        "rules": rules,
    });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    s.write("p.json", policy.to_string());
    s.ocisign(&format!(
        "export containers-policy --policy p.json --output-dir out --force {options}"
    ))
}

/// What the library of podman and CRI-O says by the exported files.
fn admission(s: &Sandbox, image: &str) -> Ran {
    s.peer("containers-image", &format!("out/policy.json out/registries.d {image}"))
}

fn signed(by: &[&str], at_least: usize, reference: &str) -> Value {
    json!([{"id": "s", "signed": {"by": by, "atLeast": at_least, "reference": reference}}])
}

fn rule(id: &str, scope: &[String], require: &Value) -> Value {
    json!({"id": id, "scope": scope, "require": require})
}

/// A layout `one` with a single manifest, `v1`; its digest.
fn one_manifest(s: &Sandbox) -> String {
    let tree = s.ocisign("tree oci:demo:v1").exits(0).stdout;
    let digest = |line: &str| Some(line.split_whitespace().nth(1)?.to_owned());
    let manifest = tree.lines().filter_map(digest).nth(1).unwrap();
    s.ocisign(&format!("copy --no-referrers oci:demo@{manifest} oci:one:v1")).exits(0);
    manifest
}

fn sign(s: &Sandbox, key: &str, name: &str, image: &str) {
    s.ocisign(&format!("sign --key {key}.key --format cosign --as {name} {image}")).exits(0);
}

/// The signatures that all images of the next test carry.
const SIGNED: [(&str, &str); 5] = [
    ("me", "app:v1"),
    ("other", "app:v2"),
    ("other", "other"),
    ("me", "app/below:v1"),
    ("other", "app/below:v1"),
];

/// Many rules and names: what the library admits ocisign allows, and the
/// evaluator of tests/export says what the library says.
#[test]
fn what_they_admit_ocisign_allows() {
    if !peers(&["containers-image", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    let digest = one_manifest(&s);
    let at = |name: &str| format!("{}/{name}", real.host);
    for (key, name) in SIGNED {
        sign(&s, key, &at(name), &format!("oci:one@{digest}"));
    }
    let names = ["app:v1", "app:v2", "app/below:v1", "other:v1", "mirror:v1", "mirror:v3"];
    for name in names {
        s.ocisign(&format!("copy oci:one@{digest} {}", at(name))).exits(0);
    }
    let names = names.map(at);
    let names = names.into_iter().chain([at(&format!("app@{digest}"))]).collect::<Vec<_>>();
    let mut seen = [0, 0];
    for (rules, more) in policies(&at) {
        export(&s, &rules, &more, "--default-docker").exits(0);
        for name in &names {
            let real = admission(&s, name).code == Some(0);
            assert_eq!(real, evaluated(&s, &at, name), "{name}\n{rules}");
            let ours = s.ocisign(&format!("verify --policy p.json {name}"));
            assert!(!real || ours.code == Some(0), "{rules}\n{ours}");
            seen[usize::from(real)] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 15), "{seen:?}");
}

/// Rules, and what else stands in the policy.
fn policies(at: &dyn Fn(&str) -> String) -> Vec<(Value, Value)> {
    let host = [at("**")];
    let app = [at("app"), at("app/**")];
    let all = |require: &Value| json!([rule("r", &host, require)]);
    let mut found = Vec::new();
    for reference in ["none", "repository", "exactOrDigest", "exact"] {
        for (by, at_least) in [(&["me"][..], 1), (&["me", "other"], 1), (&["me", "other"], 2)] {
            found.push((all(&signed(by, at_least, reference)), json!({})));
        }
    }
    let (me, other) = (signed(&["me"], 1, "repository"), signed(&["other"], 1, "repository"));
    let mut branches = [me.clone(), other.clone()];
    branches[1][0]["id"] = json!("t");
    let either = json!([{"id": "or", "anyOf": branches}]);
    let everything = ["**".to_owned()];
    let free = json!({"id": "free", "scope": app, "accept": {"reason": "x"}});
    let none = json!({"id": "none", "scope": app, "reject": {"reason": "x"}});
    let baseline = json!({"baseline": [rule("b", &everything, &other)]});
    let mirror = json!({"mirrors": {at("mirror"): at("app")}});
    let mirrored = signed(&["me"], 1, "exactOrDigest");
    found.extend([
        (all(&either), json!({})),
        (json!([rule("r", &everything, &me)]), json!({})),
        (json!([free, rule("r", &host, &me)]), json!({})),
        (json!([none, rule("r", &host, &me)]), json!({})),
        (json!([free]), baseline),
        (all(&mirrored), mirror),
    ]);
    found
}

fn evaluated(s: &Sandbox, at: &dyn Fn(&str) -> String, name: &str) -> bool {
    let policy: Value = serde_json::from_slice(&s.read("out/policy.json")).unwrap();
    let signature = |(key, name): &(&str, &str)| Signature {
        key: String::from_utf8(s.read(format!("{key}.pub"))).unwrap(),
        name: at(name),
    };
    let signatures: Vec<_> = SIGNED.iter().map(signature).collect();
    allows(&policy, &Name::parse(name).unwrap(), &signatures)
}

#[test]
fn unsigned_images_other_keys_and_other_repositories_are_refused() {
    if !peers(&["containers-image", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    one_manifest(&s);
    let at = |name: &str| format!("{}/{name}", real.host);
    let push = |name: &str| {
        s.ocisign(&format!("copy --no-referrers oci:one:v1 {}", at(name))).exits(0);
    };
    for name in ["prod/app:v1", "prod/unsigned:v1", "prod:v1", "dev/app:v1"] {
        push(name);
    }
    let rules = json!([rule("r", &[at("prod/**")], &signed(&["me"], 1, "exactOrDigest"))]);
    // `prod` itself is no part of `prod/**`, and policy.json takes both for one
    export(&s, &rules, &json!({}), "").exits(1).says("--widen-subtrees");
    assert!(!s.path("out").exists(), "nothing is written where something cannot be said");
    export(&s, &rules, &json!({}), "--widen-subtrees").exits(0);

    for name in ["prod/app:v1", "prod:v1", "dev/app:v1"] {
        admission(&s, &at(name)).fails();
        s.ocisign(&format!("sign --key other.key --format cosign {}", at(name))).exits(0);
        admission(&s, &at(name)).fails();
        s.ocisign(&format!("sign --key me.key --format cosign {}", at(name))).exits(0);
    }
    admission(&s, &at("prod/app:v1")).exits(0);
    admission(&s, &at("prod/unsigned:v1")).fails().says("signature");
    admission(&s, &at("dev/app:v1")).fails().says("rejected by policy");
    // what was widened is wider, and ocisign's own answer is not
    admission(&s, &at("prod:v1")).exits(0);
    s.ocisign(&format!("verify --policy p.json {}", at("prod:v1"))).exits(1);

    // a rule of its own for `prod`, though it only says no, makes them two
    let none = json!({"id": "none", "scope": [at("prod")], "reject": {"reason": "x"}});
    let rules = json!([rules[0], none]);
    export(&s, &rules, &json!({}), "--widen-subtrees").exits(1).says("the same rule");
}

/// To the library `LOCALHOST` and a port with a zero before it are other
/// registries than `localhost`, so a wide scope would let in what a narrow
/// one refuses.
#[test]
fn another_spelling_of_the_host_would_go_around_a_rule() {
    if !peers(&["containers-image", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    one_manifest(&s);
    s.ocisign(&format!("copy --no-referrers oci:one:v1 {}/bad:v1", real.host)).exits(0);
    let port = real.host.rsplit_once(':').unwrap().1;
    let host = format!("localhost:{port}");
    let by_hand = json!({"default": [{"type": "reject"}], "transports": {"docker": {
        "": [{"type": "insecureAcceptAnything"}], &host: [{"type": "reject"}]}}});
    s.write("out/policy.json", by_hand.to_string());
    s.write("out/registries.d/x.yaml", "docker: {}\n");
    admission(&s, &format!("{host}/bad:v1")).fails().says("rejected by policy");
    admission(&s, &format!("LOCALHOST:{port}/bad:v1")).exits(0);
    admission(&s, &format!("localhost:0{port}/bad:v1")).exits(0);

    let rules = json!([
        {"id": "any", "scope": ["**"], "accept": {"reason": "x"}},
        {"id": "bad", "scope": [format!("{host}/**")], "reject": {"reason": "x"}},
    ]);
    export(&s, &rules, &json!({}), "").exits(1).says("letter by letter");
}

/// Every kind of key that ocisign reads is one that the library verifies.
#[test]
fn every_kind_of_key_is_verified_there() {
    if !peers(&["containers-image", "docker-registry", "openssl", "cosign"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    let digest = one_manifest(&s);
    let mut keys =
        vec!["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-3072", "rsa-4096"];
    for key in &keys {
        s.ocisign(&format!("key generate --no-password --algorithm {key} --output {key}")).exits(0);
    }
    // ocisign makes none of 2048 bits
    s.peer("openssl", "genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out key.pem").exits(0);
    s.peer("cosign", "import-key-pair --yes --key key.pem --output-key-prefix rsa-2048").exits(0);
    keys.push("rsa-2048");
    for key in keys {
        std::fs::copy(s.path(format!("{key}.pub")), s.path("me.pub")).unwrap();
        let image = format!("{}/{key}:v1", real.host);
        s.ocisign(&format!("copy --no-referrers oci:one@{digest} {image}")).exits(0);
        let scope = [format!("{}/**", real.host)];
        let rules = json!([rule("r", &scope, &signed(&["me"], 1, "exact"))]);
        export(&s, &rules, &json!({}), "").exits(0);
        admission(&s, &image).fails();
        s.ocisign(&format!("sign --key {key}.key --format cosign {image}")).exits(0);
        admission(&s, &image).exits(0);
    }
}

/// Debian's skopeo reads the file, and obeys what it can.
#[test]
fn skopeo_reads_it() {
    if !peers(&["skopeo", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    one_manifest(&s);
    let at = |name: &str| format!("{}/{name}", real.host);
    for name in ["free/app:v1", "prod/app:v1", "dev/app:v1"] {
        s.ocisign(&format!("copy --no-referrers oci:one:v1 {}", at(name))).exits(0);
    }
    let free = json!({"id": "free", "scope": [at("free/**")], "accept": {"reason": "x"}});
    let rules = json!([free, rule("r", &[at("prod/**")], &signed(&["me"], 1, "exact"))]);
    export(&s, &rules, &json!({}), "--widen-subtrees").exits(0);
    let copy = |from: &str, to: &str| {
        let options = "--policy out/policy.json --registries.d out/registries.d";
        s.peer("skopeo", &format!("{options} copy --src-tls-verify=false {from} {to}"))
    };
    copy(&format!("docker://{}", at("free/app:v1")), "dir:free").exits(0);
    copy(&format!("docker://{}", at("dev/app:v1")), "dir:dev").fails().says("rejected by policy");
    // unsigned, and where skopeo can verify no signatures refused all the same
    copy(&format!("docker://{}", at("prod/app:v1")), "dir:prod").fails();
    // every other transport is rejected
    copy("dir:free", "dir:again").fails().says("rejected by policy");
    copy("oci:one:v1", "dir:again").fails().says("rejected by policy");
}
