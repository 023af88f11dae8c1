//! Layers that lie elsewhere (`urls`): told of, and fetched only where that
//! is asked for, without credentials (CVE-2020-15157).

use std::sync::Arc;

use ocisign::Limits;
use ocisign::engine::copy::copy;
use ocisign::engine::{self, Image};
use ocisign::image::{Depth, Descriptor, Digest, NodeKind, NodeState, media_type as mt};
use ocisign::store::auth::{Credential, HostCredential, Secret};
use ocisign::store::{External, Memory, RegistryOptions, Store, Target};

use super::common::registry::{Auth, Lie, Options, Registry};
use super::{image, layer};

const TYPES: [&str; 4] = [
    mt::DOCKER_FOREIGN_GZIP,
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
];

/// Bytes of a layer of this type, and their diff id.
fn content(kind: &str) -> (Vec<u8>, Digest) {
    use std::io::Read as _;
    let packed = layer("foreign");
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut tar).unwrap();
    let diff_id = Digest::sha256(&tar);
    (if kind.ends_with("gzip") { packed } else { tar }, diff_id)
}

/// An image whose only layer lies at these addresses.
fn foreign(kind: &str, urls: &[String]) -> Memory {
    let (bytes, diff_id) = content(kind);
    let memory = Memory::new("memory");
    let config = serde_json::json!({
        "os": "windows", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let docker = kind.contains("docker");
    let config_type = if docker { mt::DOCKER_CONFIG } else { mt::OCI_CONFIG };
    let config = memory.put_blob(config_type, config.to_string());
    let mut layer = Descriptor::of(kind, &bytes);
    layer.urls = urls.to_vec();
    let manifest_type = if docker { mt::DOCKER_MANIFEST } else { mt::OCI_MANIFEST };
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": [layer],
    });
    memory.put_manifest(manifest_type, manifest.to_string(), Some("v1"));
    memory
}

/// A server of files; it asks whoever comes for a password, as a host would
/// that wants to have one.
fn server() -> Registry {
    Registry::start(Options { auth: Auth::Basic, ..Options::default() })
}

fn serve(server: &Registry, path: &str, body: &[u8]) -> String {
    let pattern = format!("GET {path}");
    server.lie(&pattern, Lie::StatusWith(200, vec![]));
    server.lie(&pattern, Lie::Body(body.to_vec()));
    format!("{}{path}", server.url())
}

/// Options with a password for the very host that serves the layer.
fn options(server: &Registry, limits: &Limits) -> RegistryOptions {
    let credential =
        Credential::Password { username: "me".into(), password: Secret::new("secret") };
    let credentials = Arc::new(HostCredential { host: server.host(), credential });
    RegistryOptions { credentials, limits: limits.clone(), ..Default::default() }
}

fn state(memory: Memory, server: &Registry) -> Result<NodeState, engine::Error> {
    let limits = Limits {
        idle_timeout: std::time::Duration::from_secs(10),
        redirects: 3,
        ..Limits::default()
    };
    let store = External::new(Arc::new(memory), options(server, &limits));
    read(&image(store, "oci:dir:v1"), &limits)
}

fn read(image: &Image, limits: &Limits) -> Result<NodeState, engine::Error> {
    let tree = engine::read_tree(image, Depth::Contents, limits, &engine::Silent);
    let tree = engine::block_on(tree)?;
    Ok(tree.shape().nodes.iter().find(|n| n.kind == NodeKind::Layer).unwrap().state.clone())
}

#[test]
fn they_are_external_unless_asked_for_and_verified_when_fetched() {
    for kind in TYPES {
        let server = server();
        let url = serve(&server, "/files/layer", &content(kind).0);
        let memory = foreign(kind, std::slice::from_ref(&url));
        let plain = image(memory.clone(), "oci:dir:v1");
        assert_eq!(read(&plain, &Limits::default()).unwrap(), NodeState::External(vec![url]));
        assert_eq!(server.requests().len(), 0, "nothing is fetched unasked");
        assert_eq!(state(memory, &server).unwrap(), NodeState::Verified, "{kind}");
    }
}

#[test]
fn no_credential_is_ever_sent_to_where_a_manifest_points() {
    let (server, other) = (server(), server());
    // a host that asks for a password gets none
    server.lie(
        "GET /files/locked",
        Lie::StatusWith(401, vec![("WWW-Authenticate", "Basic realm=\"give\"".to_owned())]),
    );
    let locked = format!("{}/files/locked", server.url());
    let (bytes, _) = content(TYPES[0]);
    // nor does the one that it sends us to
    let moved = serve(&other, "/files/layer", &bytes);
    server.lie("GET /files/moved", Lie::StatusWith(307, vec![("Location", moved)]));
    let redirected = format!("{}/files/moved", server.url());
    assert!(state(foreign(TYPES[0], &[locked]), &server).is_err());
    assert_eq!(state(foreign(TYPES[0], &[redirected]), &server).unwrap(), NodeState::Verified);
    // names and passwords in an address would be sent: it is not asked
    let (user, asked) =
        (server.url().replace("http://", "http://me:secret@"), server.requests().len());
    let named = format!("{user}/files/layer");
    let answer = state(foreign(TYPES[0], std::slice::from_ref(&named)), &server).unwrap();
    assert_eq!(answer, NodeState::External(vec![named]));
    assert_eq!(server.requests().len(), asked);
    let all = [server.requests(), other.requests()].concat();
    assert_eq!(all.len(), 3);
    for request in all {
        for header in ["authorization", "cookie", "referer"] {
            assert_eq!(request.header(header), None, "{}", request.target);
        }
    }
}

#[test]
fn wrong_bytes_and_endless_ones_are_denied() {
    let server = server();
    let (bytes, _) = content(TYPES[0]);
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    let url = serve(&server, "/files/flipped", &flipped);
    assert!(matches!(state(foreign(TYPES[0], &[url]), &server), Ok(NodeState::Mismatch(_))));
    let url = serve(&server, "/files/short", &bytes[..20]);
    assert!(matches!(state(foreign(TYPES[0], &[url]), &server), Ok(NodeState::SizeMismatch(_))));
    let url = serve(&server, "/files/endless", b"");
    server.lie("GET /files/endless", Lie::Endless);
    assert!(matches!(state(foreign(TYPES[0], &[url]), &server), Ok(NodeState::SizeMismatch(_))));
    assert!(server.sent() < 64 << 20, "reading stops behind the size");
}

#[test]
fn only_https_and_loopback_are_asked_and_redirects_lead_nowhere_else() {
    let server = server();
    let mut never: Vec<String> = ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://a.example/x"]
        .map(str::to_owned)
        .to_vec();
    never.push("not an address".to_owned());
    let answer = state(foreign(TYPES[0], &never), &server).unwrap();
    assert_eq!(answer, NodeState::External(never));
    for to in ["file:///etc/passwd", "http://a.example/x", "data:,x", ""] {
        server.lie("GET /files/moved", Lie::StatusWith(302, vec![("Location", to.to_owned())]));
        let url = format!("{}/files/moved", server.url());
        let error = state(foreign(TYPES[0], &[url]), &server).unwrap_err();
        assert!(error.to_string().contains("redirects to where nothing"), "{to}: {error}");
    }
    let around = format!("{}/files/around", server.url());
    for _ in 0..10 {
        server.lie("GET /files/around", Lie::StatusWith(302, vec![("Location", around.clone())]));
    }
    let error = state(foreign(TYPES[0], &[around]), &server).unwrap_err();
    assert!(error.to_string().contains("too often"), "{error}");
    assert!(server.count("GET /files/around") <= 4);
}

#[test]
fn the_next_address_is_asked_where_one_has_nothing() {
    let server = server();
    let gone = format!("{}/files/gone", server.url());
    let broken = format!("{}/files/broken", server.url());
    server.lie("GET /files/broken", Lie::Status(500));
    let good = serve(&server, "/files/good", &content(TYPES[0]).0);
    let urls = [gone.clone(), broken.clone(), good];
    assert_eq!(state(foreign(TYPES[0], &urls), &server).unwrap(), NodeState::Verified);
    let answer = state(foreign(TYPES[0], std::slice::from_ref(&gone)), &server).unwrap();
    assert_eq!(answer, NodeState::External(vec![gone.clone()]));
    // what failed is no answer: the image is not decided on
    server.lie("GET /files/broken", Lie::Status(500));
    assert!(state(foreign(TYPES[0], &[gone, broken]), &server).is_err());
}

#[tokio::test]
async fn a_copy_brings_them_only_where_that_is_asked_for() {
    let server = server();
    let (bytes, _) = content(TYPES[0]);
    let url = serve(&server, "/files/layer", &bytes);
    let (memory, limits) = (foreign(TYPES[0], &[url]), Limits::default());
    let target = Target::Tag("v1".to_owned());
    let to = Memory::new("to");
    let copied = copy(&memory, &target, &to, Some("v1"), true, &limits).await.unwrap();
    assert_eq!((copied.external.len(), server.requests().len()), (1, 0));
    let from = External::new(Arc::new(memory), options(&server, &limits));
    let copied = copy(&from, &target, &to, Some("v1"), true, &limits).await.unwrap();
    assert_eq!(copied.external, []);
    let (digest, size) = (Digest::sha256(&bytes), bytes.len() as u64);
    assert!(to.has_blob(&digest, size).await.unwrap());
}
