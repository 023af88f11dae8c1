//! containerd's hosts and docker's credentials: where images are read from,
//! and who gets which secret.

use std::path::Path;

use serde_json::json;

use super::common::registry::{Auth, Certificates, Lie, Options, Registry};
use super::node::{Node, arguments};
use std::time::Duration;

impl Node {
    /// Writes `certs/HOST/hosts.toml` for the image's registry.
    fn hosts(&self, text: &str) {
        let host = self.registry.host();
        self.sandbox.write(&format!("certs/{host}/hosts.toml"), text);
    }
}

const HOSTS: &str = "--hosts-dir certs --no-cache";

/// Copies an image with its signatures to another registry.
fn mirror(node: &Node, name: &str, to: &Registry) {
    node.sandbox.ocisign(&format!("copy {} {}/{name}", node.image(name), to.host())).exits(0);
}

#[test]
fn a_mirror_is_asked_first_and_is_enough() {
    let node = Node::with(Options::default(), HOSTS);
    let other = Registry::start(Options::default());
    mirror(&node, "app:v1", &other);
    node.hosts(&format!("[host.\"{}\"]\n capabilities = [\"pull\", \"resolve\"]", other.url()));
    let before = node.requests();
    node.pull("app:v1").allows();
    assert_eq!(node.requests(), before, "the registry itself is not asked");
    assert!(other.count("GET /v2/app/*") > 0);
}

#[test]
fn what_the_mirror_lacks_comes_from_the_registry() {
    let node = Node::with(Options::default(), HOSTS);
    // the image, and none of its signatures
    let bare = Registry::start(Options::default());
    let image = format!("{}/app:v1", bare.host());
    node.sandbox.ocisign(&format!("copy --no-referrers {} {image}", node.image("app:v1"))).exits(0);
    node.hosts(&format!("[host.\"{}\"]", bare.url()));
    node.pull("app:v1").allows();
    node.pull("unsigned:v1").denies();
    // nothing at all
    let empty = Registry::start(Options::default());
    node.hosts(&format!("[host.\"{}\"]", empty.url()));
    node.pull("app:v1").allows();
}

#[test]
fn a_mirror_that_lies_or_fails_costs_time_only() {
    for lie in [Lie::Status(500), Lie::Hangup, Lie::Body(b"{}".to_vec()), Lie::Status(403)] {
        let node = Node::with(Options::default(), HOSTS);
        let other = Registry::start(Options::default());
        mirror(&node, "app:v1", &other);
        other.lie("*", lie.clone());
        node.hosts(&format!("[host.\"{}\"]", other.url()));
        node.pull("app:v1").allows();
        // the mirror may have a signature that was not seen: no plain deny
        let said = node.pull("unsigned:v1");
        assert!(matches!(said.code, Some(1 | 2)), "{lie:?}: {said:?}");
    }
}

#[test]
fn a_mirror_that_stalls_leaves_time_for_the_registry() {
    let node = Node::with(Options::default(), HOSTS);
    let other = Registry::start(Options::default());
    other.lie("*", Lie::Silent(Duration::from_secs(60)));
    node.hosts(&format!("[host.\"{}\"]", other.url()));
    node.pull("app:v1").allows();
    // what it might have listed is not known
    node.pull("unsigned:v1").ends_undecided().because("was not asked again");
}

#[test]
fn with_mirrors_too_the_second_pull_asks_nobody() {
    let node = Node::with(Options::default(), "--hosts-dir certs");
    let empty = Registry::start(Options::default());
    node.hosts(&format!("[host.\"{}\"]", empty.url()));
    node.pull("app:v1").allows();
    let before = (node.requests(), empty.requests().len());
    node.pull("app:v1").allows();
    assert_eq!((node.requests(), empty.requests().len()), before);
}

#[test]
fn tls_is_never_given_up() {
    let certificates = Certificates::generate();
    let options = Options { tls: Some(certificates.clone()), ..Options::default() };
    let node = Node::bare(Options::default());
    let secure = Registry::start(options);
    node.sandbox.write("ca.pem", &certificates.ca);
    node.push("demo", "app:v1");
    node.sign("app:v1");
    let copy = format!("copy --ca ca.pem oci:demo:v1 {}/app:v1", secure.host());
    node.sandbox.ocisign(&copy).exits(0);
    let sign = format!("sign --ca ca.pem --key me.key {}/app:v1", secure.host());
    node.sandbox.ocisign(&sign).exits(0);
    node.install(HOSTS).exits(0);
    let (digest, stdin) = node.descriptor("app:v1");
    let words = arguments(&format!("{}/app:v1", secure.host()), &digest.to_string());
    let hosts = |text: &str| {
        node.sandbox.write(&format!("certs/{}/hosts.toml", secure.host()), text);
    };
    let url = format!("https://{}", secure.host());
    hosts(&format!("server = \"{url}\"\nca = \"{}\"", node.sandbox.path("ca.pem").display()));
    node.ask(&words, &stdin).allows();
    // without the CA nobody vouches for it, and skip_verify does not help
    hosts(&format!("server = \"{url}\""));
    node.ask(&words, &stdin).ends_undecided().because("certificate");
    hosts(&format!("server = \"{url}\"\nskip_verify = true"));
    node.ask(&words, &stdin).ends_undecided().because("skip_verify");
    // containerd would go on with what it understands
    hosts("server = ");
    node.ask(&words, &stdin).ends_undecided().because("no TOML");
}

#[test]
fn each_credential_goes_to_its_own_registry() {
    let password = || Options { auth: Auth::Basic, ..Options::default() };
    let node = Node::bare(Options::default());
    let closed = Registry::start(password());
    let mirror = Registry::start(password());
    let (image, copy) = (format!("{}/app:v1", closed.host()), format!("{}/app:v1", mirror.host()));
    let both = [(closed.host(), "me:secret"), (mirror.host(), "me:secret")];
    node.sandbox.write("login.json", docker(&both));
    for line in [
        format!("copy oci:demo:v1 {image}"),
        format!("sign --key me.key {image}"),
        format!("copy {image} {copy}"),
    ] {
        node.sandbox.ocisign(&format!("{line} --auth-file login.json")).exits(0);
    }
    node.push("demo", "app:v1");
    let (digest, stdin) = node.descriptor("app:v1");
    let words = arguments(&format!("{}/app:v1", closed.host()), &digest.to_string());
    // docker's file, named in the configuration since there is no HOME
    node.sandbox.write("docker.json", docker(&[(closed.host(), "me:secret")]));
    node.install(&format!("{HOSTS} --auth-file docker.json")).exits(0);
    node.ask(&words, &stdin).allows();
    // the mirror is asked first, and gets nothing of it
    let hosts = format!("certs/{}/hosts.toml", closed.host());
    node.sandbox.write(&hosts, format!("[host.\"{}\"]", mirror.url()));
    let before = mirror.requests().len();
    node.ask(&words, &stdin).allows();
    let asked = mirror.requests().split_off(before);
    assert!(!asked.is_empty(), "it is asked");
    assert!(asked.iter().all(|request| request.header("authorization").is_none()), "{asked:?}");
    // its own header goes to it, and to it alone
    let header = "authorization = \"Basic bWU6c2VjcmV0\"";
    let url = mirror.url();
    node.sandbox.write(&hosts, format!("[host.\"{url}\"]\n[host.\"{url}\".header]\n{header}"));
    let before = (mirror.requests().len(), closed.requests().len());
    node.ask(&words, &stdin).allows();
    let asked = mirror.requests().split_off(before.0);
    assert!(asked.iter().any(|request| request.header("authorization").is_some()), "{asked:?}");
    assert_eq!(closed.requests().len(), before.1);
    // a wrong password is no reason to allow
    node.sandbox.write(&hosts, "");
    node.sandbox.write("docker.json", docker(&[(closed.host(), "me:wrong")]));
    let said = node.ask(&words, &stdin).ends_undecided();
    assert!(!said.stdout.contains("wrong") && !said.stderr.contains("wrong"), "{said:?}");
}

/// A docker config.json.
fn docker(entries: &[(String, &str)]) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let auths: serde_json::Map<_, _> = entries
        .iter()
        .map(|(host, login)| (host.clone(), json!({ "auth": encode(login) })))
        .collect();
    json!({ "auths": auths }).to_string()
}

#[test]
fn plain_http_is_recorded_and_heeded() {
    let node = Node::bare(Options::default());
    node.install("--plain-http=registry.example:5000,other.example").exits(0);
    let config = || -> serde_json::Value {
        serde_json::from_slice(&node.sandbox.read("etc/ocisign-containerd.json")).unwrap()
    };
    assert_eq!(config()["plainHttp"], json!(["registry.example:5000", "other.example"]));
    node.install("--plain-http").exits(0);
    assert_eq!(config()["plainHttp"], json!(true));
    node.install("").exits(0);
    assert_eq!(config().get("plainHttp"), None);
    assert!(Path::new(config()["policy"].as_str().unwrap()).is_absolute());
}
