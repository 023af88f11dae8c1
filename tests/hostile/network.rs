//! What lies beneath: redirects, refusals, headers, and tags that move.

use std::io::Write as _;

use super::tree::{Kind, a};
use super::*;
use crate::common::registry::{Auth, Lie};

/// The registry's own credentials, in a docker config.json.
fn logged_in(registry: &Registry) -> (tempfile::NamedTempFile, Access) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    // me:secret
    let entry = json!({"auths": {registry.host(): {"auth": "bWU6c2VjcmV0"}}});
    file.write_all(entry.to_string().as_bytes()).unwrap();
    let access = Access { auth_file: Some(file.path().to_owned()), ..Access::default() };
    (file, access)
}

fn to(status: u16, location: String) -> Lie {
    Lie::StatusWith(status, vec![("Location", location)])
}

#[test]
fn layers_from_another_host_come_without_the_authorization() {
    let elsewhere = Scene::demo();
    for auth in [Auth::Basic, Auth::private()] {
        let scene = Scene::demo_in(Options { auth, ..Options::default() });
        let (_file, access) = logged_in(&scene.registry);
        let layer = a(Kind::Layer);
        let there =
            format!("{}/v2/{REPOSITORY}/blobs/{}", elsewhere.registry.url(), layer.digest());
        scene.registry.lie(&layer.request(), to(307, there));
        let name = format!("{}/{REPOSITORY}:v1", scene.registry.host());
        assert_eq!(answer(verify_by(&access, &name, &limits(), Depth::Layers)), ALLOW);
        assert!(scene.registry.requests().iter().any(|r| r.header("authorization").is_some()));
    }
    let seen = elsewhere.registry.requests();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert!(request.header("authorization").is_none() && request.header("cookie").is_none());
    }
}

#[test]
fn other_bytes_on_the_other_host_are_denied() {
    let elsewhere = Registry::start(Options::default());
    let other = elsewhere.put_blob(REPOSITORY, b"another layer");
    let scene = Scene::demo();
    let there = format!("{}/v2/{REPOSITORY}/blobs/{}", elsewhere.url(), other.digest);
    scene.registry.lie(&a(Kind::Layer).request(), to(307, there));
    assert_eq!(answer(scene.verify()), INTEGRITY);
}

#[test]
fn redirects_in_a_circle_end() {
    for kind in [Kind::Root, Kind::Child, Kind::Config, Kind::Layer] {
        let scene = Scene::demo();
        let node = a(kind);
        let path = node.request().replace("GET ", "");
        scene.registry.lie(&node.request(), to(307, path));
        assert!(failure(scene.verify_pinned()).contains("redirected more than"), "{kind:?}");
        assert!(scene.registry.count(&node.request()) <= limits().redirects + 1);
    }
}

#[test]
fn a_location_that_leads_up_stays_on_its_server() {
    let scene = Scene::demo();
    let up = "/v2/app/blobs/../../../../etc/passwd".to_owned();
    scene.registry.lie(&a(Kind::Layer).request(), to(307, up));
    // what it leads to is asked of the registry, which has no such thing
    assert_eq!(answer(scene.verify()), INCOMPLETE);
    for location in ["file:///etc/passwd", "ftp://x.example/", "http://", "//"] {
        let scene = Scene::demo();
        scene.registry.lie(&a(Kind::Layer).request(), to(307, location.to_owned()));
        failure(scene.verify());
    }
}

#[test]
fn a_registry_that_only_says_401_is_asked_twice() {
    for challenge in ["Bearer", "Basic realm=\"x\"", "Nonsense", ""] {
        let scene = Scene::demo();
        let headers = vec![("WWW-Authenticate", challenge.to_owned())];
        scene.registry.lie("GET *", Lie::StatusWith(401, headers));
        let (_file, access) = logged_in(&scene.registry);
        let name = format!("{}/{REPOSITORY}:v1", scene.registry.host());
        failure(verify_by(&access, &name, &limits(), Depth::Layers));
        let asked = scene.registry.requests().len();
        assert!(asked <= 2, "{challenge}: {asked} requests");
    }
    // a token service that is the registry itself and says the same
    let scene = Scene::demo();
    let realm = format!("Bearer realm=\"{}/token\"", scene.registry.url());
    scene.registry.lie("GET *", Lie::StatusWith(401, vec![("WWW-Authenticate", realm)]));
    failure(scene.verify());
    assert!(scene.registry.requests().len() <= 3);
}

#[test]
fn a_registry_that_is_busy_for_ever_is_given_up_on() {
    for status in [429, 500, 503] {
        let scene = Scene::demo();
        let later = vec![("Retry-After", "99999999".to_owned())];
        scene.registry.lie("GET *", Lie::StatusWith(status, later));
        failure(scene.verify());
        assert_eq!(scene.registry.requests().len(), limits().attempts as usize, "{status}");
    }
}

#[test]
fn what_is_no_http_is_no_answer() {
    let head = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(8 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: x\r\n".repeat(500_000));
    for raw in [
        Vec::leak(head.into_bytes()),
        Vec::leak(many.into_bytes()),
        Vec::leak(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_vec(),
        ),
        Vec::leak(vec![0; 4096]),
    ] {
        let scene = Scene::demo();
        scene.registry.lie("GET *", Lie::Raw(raw));
        failure(scene.verify());
    }
    let scene = Scene::demo();
    scene.registry.lie("GET *", Lie::Hangup);
    failure(scene.verify());
}

/// The tag names the demo image at the first request and another one at
/// every later one: what is judged is one digest, and it is what is admitted.
#[test]
fn a_tag_that_moves_between_requests_is_one_image() {
    let config = config(&[]);
    let other = manifest(&Descriptor::of(media_type::OCI_CONFIG, &config), &[]).to_string();
    let scene = Scene::demo();
    let demo = scene.registry.manifest(REPOSITORY, "v1").unwrap();
    scene.registry.put_blob(REPOSITORY, &config);
    let kind = media_type::OCI_MANIFEST;
    scene.registry.put_manifest(REPOSITORY, Some("v1"), kind, other.as_bytes());
    scene.registry.lie_times(1, "GET */manifests/v1", Lie::Body(demo));
    let type_of_demo = Lie::Header("Content-Type", media_type::OCI_INDEX.into());
    scene.registry.lie_times(1, "GET */manifests/v1", type_of_demo);
    let verdict = scene.verify().unwrap();
    assert_eq!(verdict.digest, scene.root.digest);
    let admitted = verdict.admit().unwrap();
    assert_eq!(*admitted.digest(), scene.root.digest);
    assert_eq!(admitted.reference().tag(), None);
    assert_eq!(scene.registry.count("* */manifests/v1"), 1, "the tag is resolved once");
    // the next question is about the other image, which nobody signed
    assert_eq!(answer(scene.verify()), UNSIGNED);
}

#[test]
fn what_head_says_and_what_the_digest_header_says_is_not_asked() {
    let scene = Scene::demo();
    let other = Digest::sha256(b"another");
    scene.registry.lie("HEAD *", Lie::Status(404));
    scene.registry.lie("* *", Lie::Header("Docker-Content-Digest", other.to_string()));
    let verdict = scene.verify().unwrap();
    assert_eq!(verdict.digest, scene.root.digest, "recomputed");
    assert_eq!(answer(Ok(verdict)), ALLOW);
    assert_eq!(scene.registry.count("HEAD *"), 0);
}

#[test]
fn nothing_there_to_connect_to_is_no_answer() {
    let gone = Registry::start(Options::default()).host();
    std::thread::sleep(Duration::from_millis(100));
    failure(verify(&format!("{gone}/app:v1"), &limits(), Depth::Layers));
}
