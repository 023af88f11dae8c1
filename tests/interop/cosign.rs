//! The cosign matrix: registry, key and format, each way.

use super::common::peers;
use super::common::run::Sandbox;
use super::real::Real;
use super::{OFFLINE, push_demo};

/// Keys that ocisign makes; each is refused where the one before it signed.
const KEYS: [&str; 6] =
    ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-3072", "rsa-4096"];

/// One of the two formats, and how each tool is told to use it.
struct Format {
    name: &'static str,
    ocisign_sign: &'static str,
    cosign_sign: &'static str,
    cosign_verify: &'static str,
    /// How much of a name cosign signs: `--reference` rules that allow.
    cosign_names: &'static [(&'static str, i32)],
}

const FORMATS: [Format; 2] = [
    Format {
        name: "bundle",
        ocisign_sign: "--format sigstore",
        cosign_sign: "--signing-config offline.json",
        cosign_verify: "",
        cosign_names: &[("none", 0), ("repository", 1)],
    },
    Format {
        name: "older",
        ocisign_sign: "--format cosign",
        cosign_sign: "--new-bundle-format=false --use-signing-config=false --tlog-upload=false",
        cosign_verify: "--new-bundle-format=false",
        cosign_names: &[("none", 0), ("repository", 0), ("exact", 1)],
    },
];

#[test]
fn every_key_on_a_registry_with_the_referrers_api() {
    matrix("referrers-registry", &KEYS);
}

/// Two registries without the referrers API share the keys between them.
#[test]
fn half_of_the_keys_on_distribution_without_the_referrers_api() {
    matrix("distribution", &["ecdsa-p256", "ecdsa-p521", "ed25519"]);
}

#[test]
fn the_other_half_on_docker_registry_without_the_referrers_api() {
    matrix("docker-registry", &["ecdsa-p384", "rsa-3072", "rsa-4096"]);
}

fn matrix(registry: &str, keys: &[&str]) {
    if !peers(&["cosign", registry]) {
        return;
    }
    let (real, s) = (Real::start(registry).unwrap(), Sandbox::with_layouts(&["demo"]));
    s.write("offline.json", OFFLINE);
    for key in keys {
        s.ocisign(&format!("key generate --no-password --algorithm {key} --output {key}")).exits(0);
    }
    for (position, key) in keys.iter().enumerate() {
        let other = keys[(position + 1) % keys.len()];
        for format in &FORMATS {
            let image = |by| format!("{}/{by}/{key}/{}:v1", real.host, format.name);
            cosign_verifies(&s, &image("ocisign"), format, key, other);
            ocisign_verifies(&s, &image("cosign"), format, key, other);
        }
    }
}

/// `ocisign sign`, `cosign verify`.
fn cosign_verifies(s: &Sandbox, image: &str, format: &Format, key: &str, other: &str) {
    push_demo(s, image);
    let sign = format.ocisign_sign;
    s.ocisign(&format!("sign --key {key}.key -a env=prod {sign} {image}")).exits(0);
    let verify = |options: &str| {
        let form = format.cosign_verify;
        let line = format!("verify --insecure-ignore-tlog {form} {options} {image}");
        s.peer("cosign", &line)
    };
    verify(&format!("--key {key}.pub")).exits(0).says(r#""env":"prod""#);
    verify(&format!("--key {key}.pub -a env=prod")).exits(0).says(image);
    verify(&format!("--key {key}.pub -a env=dev")).fails();
    verify(&format!("--key {key}.pub -a team=blue")).fails();
    verify(&format!("--key {other}.pub")).fails();
    let exact = format!("verify --key {key}.pub -a env=prod --reference exact {image}");
    s.ocisign(&exact).exits(0);
}

/// `cosign sign`, `ocisign verify`.
fn ocisign_verifies(s: &Sandbox, image: &str, format: &Format, key: &str, other: &str) {
    push_demo(s, image);
    s.peer("cosign", &format!("import-key-pair --yes --key {key}.key --output-key-prefix theirs"))
        .exits(0);
    cosign_signs(s, image, format, "theirs");
    std::fs::remove_file(s.path("theirs.key")).unwrap();
    std::fs::remove_file(s.path("theirs.pub")).unwrap();
    ocisign_judges(s, image, format, key, other);
}

fn cosign_signs(s: &Sandbox, image: &str, format: &Format, key: &str) {
    let sign = format.cosign_sign;
    s.peer("cosign", &format!("sign --yes --key {key}.key {sign} -a env=prod {image}")).exits(0);
}

fn ocisign_judges(s: &Sandbox, image: &str, format: &Format, key: &str, other: &str) {
    let verify = |options: &str| s.ocisign(&format!("verify --key {options} {image}"));
    verify(&format!("{key}.pub")).exits(0).says("allow");
    verify(&format!("{key}.pub -a env=prod")).exits(0);
    verify(&format!("{key}.pub -a env=dev")).exits(1).says("env=`prod`");
    verify(&format!("{key}.pub -a team=blue")).exits(1);
    verify(&format!("{other}.pub")).exits(1).says("a key that the policy does not name");
    for (rule, code) in format.cosign_names {
        verify(&format!("{key}.pub --reference {rule}")).exits(*code);
    }
}

/// ocisign makes no RSA keys of 2048 bits and reads what they signed.
#[test]
fn rsa_2048_is_read() {
    if !peers(&["cosign", "openssl", "referrers-registry"]) {
        return;
    }
    let (real, s) = (Real::start("referrers-registry").unwrap(), super::sandbox());
    s.write("offline.json", OFFLINE);
    s.peer("openssl", "genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out key.pem").exits(0);
    s.peer("cosign", "import-key-pair --yes --key key.pem --output-key-prefix rsa").exits(0);
    for format in &FORMATS {
        let image = format!("{}/rsa-2048/{}:v1", real.host, format.name);
        push_demo(&s, &image);
        cosign_signs(&s, &image, format, "rsa");
        ocisign_judges(&s, &image, format, "rsa", "other");
    }
}

/// Both formats side by side, by both tools, with both tools' own keys: each
/// tool finds its own.
#[test]
fn signatures_of_both_tools_stand_side_by_side() {
    if !peers(&["cosign", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    let image = format!("{}/app:v1", real.host);
    s.write("offline.json", OFFLINE);
    s.peer("cosign", "generate-key-pair --output-key-prefix theirs").exits(0);
    push_demo(&s, &image);
    for format in &FORMATS {
        cosign_signs(&s, &image, format, "theirs");
        let sign = format.ocisign_sign;
        s.ocisign(&format!("sign --key me.key {sign} {image}")).exits(0).says("signed sha256:");
    }
    for key in ["me", "theirs"] {
        s.ocisign(&format!("verify --key {key}.pub {image}")).exits(0);
        for Format { cosign_verify, .. } in &FORMATS {
            let verify = format!("verify --insecure-ignore-tlog {cosign_verify} --key {key}.pub");
            s.peer("cosign", &format!("{verify} {image}")).exits(0);
        }
    }
    let list = s.ocisign(&format!("signatures --output json {image}")).exits(0).json();
    assert_eq!(list["listing"]["entries"].as_array().unwrap().len(), 4, "{list}");
}
