//! Lists of referrers that lie, run over or never end, and signatures that
//! are changed. Only evidence counts, and evidence can only help.

use super::*;
use crate::common::registry::Lie;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const REFERRERS: &str = "GET /v2/app/referrers/*";

/// The signature of the demo image: its manifest and its bundle.
fn signature() -> (Vec<u8>, Vec<u8>) {
    let (_, blobs) = demo();
    let has = |bytes: &[u8], key: &str| {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        value.get(key).is_some()
    };
    let manifest = blobs.iter().find(|bytes| has(bytes, "subject")).unwrap();
    let bundle = blobs.iter().find(|bytes| has(bytes, "dsseEnvelope")).unwrap();
    (manifest.clone(), bundle.clone())
}

fn request(folder: &str, bytes: &[u8]) -> String {
    format!("GET /v2/{REPOSITORY}/{folder}/{}", Digest::sha256(bytes))
}

/// The demo image without its signature.
fn unsigned() -> Scene {
    let scene = Scene::demo();
    let root = scene.registry.manifest(REPOSITORY, "v1").unwrap();
    let scene = Scene { registry: Registry::start(Options::default()), root: scene.root };
    scene.registry.put_manifest(REPOSITORY, Some("v1"), &scene.root.media_type, &root);
    for node in super::tree::nodes() {
        match kind_of(&node.bytes) {
            Some(kind) => drop(scene.registry.put_manifest(REPOSITORY, None, &kind, &node.bytes)),
            None => drop(scene.registry.put_blob(REPOSITORY, &node.bytes)),
        }
    }
    scene
}

/// The good bundle with another signature in it, one of many: type, subject,
/// payload and key hint are those of the good one.
fn junk(scene: &Scene, number: usize) -> Descriptor {
    let (_, good) = signature();
    let mut bundle: Value = serde_json::from_slice(&good).unwrap();
    let signature = STANDARD.encode(format!("not a signature, number {number:60}"));
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = signature.into();
    scene.attach(&scene.root, bundle.to_string().as_bytes())
}

/// Entries of the list with nothing behind them.
fn dangling(scene: &Scene, count: usize) -> Vec<Digest> {
    let digests: Vec<_> =
        (0..count).map(|n| Digest::sha256(format!("nothing {n}").as_bytes())).collect();
    let entries = digests.iter().map(|digest| {
        json!({
            "mediaType": media_type::OCI_MANIFEST,
            "digest": digest,
            "size": 874,
            "artifactType": media_type::SIGSTORE_BUNDLE,
        })
    });
    scene.registry.list_referrers(&scene.root.digest, entries.collect());
    digests
}

#[test]
fn without_a_signature_the_answer_is_deny() {
    assert_eq!(answer(unsigned().verify()), UNSIGNED);
}

#[test]
fn one_good_signature_counts_among_two_thousand_copies_with_another_signature() {
    const JUNK: usize = 2000;
    let scene = Scene::demo();
    for number in 0..JUNK {
        junk(&scene, number);
    }
    assert_eq!(answer(scene.verify()), ALLOW);
    let asked = scene.registry.requests().len();
    // each costs a manifest and a bundle, and nobody is asked twice
    assert!(asked < 2 * JUNK + 30, "{asked} requests");
    let scene = unsigned();
    for number in 0..JUNK {
        junk(&scene, number);
    }
    let verdict = scene.verify().unwrap();
    assert_eq!(verdict.rejections.len(), JUNK, "each is recorded");
    assert_eq!(answer(Ok(verdict)), UNSIGNED);
}

#[test]
fn other_kinds_of_referrers_are_read_last() {
    let scene = Scene::demo();
    for number in 0..2000 {
        let sbom = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": "application/spdx+json",
            "config": Descriptor::of(media_type::OCI_EMPTY, b"{}"),
            "layers": [],
            "subject": scene.root,
            "annotations": {"number": number.to_string()},
        });
        let kind = media_type::OCI_MANIFEST;
        scene.registry.put_manifest(REPOSITORY, None, kind, sbom.to_string().as_bytes());
    }
    assert_eq!(answer(scene.verify()), ALLOW);
    let asked = scene.registry.requests().len();
    assert!(asked < 60, "{asked} requests: one batch is enough");
}

/// Who pushes large junk does not push the small signature out of the budget.
#[test]
fn large_junk_does_not_use_up_what_is_read_of_signatures() {
    let scene = Scene::demo();
    for number in 0..12 {
        let bundle = format!("{{\"number\":{number},\"x\":\"{}\"}}", "x".repeat(2 << 20));
        scene.attach(&scene.root, bundle.as_bytes());
    }
    let small = Limits { signature_bytes: 8 << 20, ..limits() };
    assert_eq!(answer(scene.verify_with(&small, Depth::Layers)), ALLOW);
    let scene = unsigned();
    for number in 0..12 {
        let bundle = format!("{{\"number\":{number},\"x\":\"{}\"}}", "x".repeat(2 << 20));
        scene.attach(&scene.root, bundle.as_bytes());
    }
    assert_eq!(answer(scene.verify_with(&small, Depth::Layers)), INCOMPLETE);
    assert!(scene.registry.sent() < 24 << 20, "{} bytes", scene.registry.sent());
}

#[test]
fn junk_that_cannot_be_had_beside_a_good_signature_is_allowed() {
    let scene = Scene::demo();
    for digest in dangling(&scene, 40) {
        let pattern = format!("GET /v2/{REPOSITORY}/manifests/{digest}");
        scene.registry.lie(&pattern, Lie::Status(500));
    }
    assert_eq!(answer(scene.verify()), ALLOW);
}

#[test]
fn only_junk_that_cannot_be_had_is_undecided() {
    for lie in [Lie::Status(500), Lie::Status(403), Lie::Hangup] {
        let scene = unsigned();
        for digest in dangling(&scene, 3) {
            scene.registry.lie(&format!("GET /v2/{REPOSITORY}/manifests/{digest}"), lie.clone());
        }
        assert_eq!(answer(scene.verify()), INCOMPLETE, "{lie:?}");
    }
}

#[test]
fn only_junk_that_is_not_there_is_denied() {
    let scene = unsigned();
    dangling(&scene, 40);
    let verdict = scene.verify().unwrap();
    assert_eq!(verdict.rejections.len(), 40);
    assert_eq!(answer(Ok(verdict)), UNSIGNED);
}

#[test]
fn a_signature_that_cannot_be_had_is_undecided() {
    let (manifest, bundle) = signature();
    for pattern in [request("manifests", &manifest), request("blobs", &bundle)] {
        for lie in [
            Lie::Status(500),
            Lie::Status(401),
            Lie::Cut(10),
            Lie::Hangup,
            Lie::Header("Content-Encoding", "gzip".into()),
            Lie::StatusWith(307, vec![("Location", pattern.replace("GET ", ""))]),
        ] {
            let scene = Scene::demo();
            scene.registry.lie(&pattern, lie.clone());
            assert_eq!(answer(scene.verify()), INCOMPLETE, "{lie:?}");
        }
        // it was pushed and is gone: there is nothing to wait for
        let scene = Scene::demo();
        scene.registry.lie(&pattern, Lie::Status(404));
        assert_eq!(answer(scene.verify()), UNSIGNED);
    }
}

#[test]
fn a_slow_signature_is_given_up_on() {
    let (manifest, bundle) = signature();
    let impatient = Limits { idle_timeout: Duration::from_millis(300), attempts: 1, ..limits() };
    for pattern in [request("manifests", &manifest), request("blobs", &bundle)] {
        for lie in [Lie::Drip(1, Duration::from_millis(100)), Lie::Silent(BOUND)] {
            let scene = Scene::demo();
            scene.registry.lie(&pattern, lie);
            assert_eq!(answer(scene.verify_with(&impatient, Depth::Layers)), INCOMPLETE);
        }
    }
}

#[test]
fn a_changed_signature_is_a_recorded_rejection() {
    let (manifest, bundle) = signature();
    for (folder, good) in [("manifests", &manifest), ("blobs", &bundle)] {
        let end = good.len() - 1;
        let flips = (0..=end).step_by(good.len() / 8).map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            Lie::Body(bytes)
        });
        let others = [
            Lie::Body(good[..end].to_vec()),
            Lie::Body(Vec::new()),
            Lie::Body([good.as_slice(), b" "].concat()),
            Lie::Body(vec![b' '; 5 << 20]),
            Lie::Length(end as u64),
            Lie::Endless,
        ];
        for lie in flips.chain(others) {
            let scene = Scene::demo();
            scene.registry.lie(&request(folder, good), lie);
            let verdict = scene.verify().unwrap();
            assert!(rejections(&verdict).contains("corrupt"), "{}", rejections(&verdict));
            assert_eq!(verdict.rejections.len(), 1);
            assert_eq!(answer(Ok(verdict)), UNSIGNED, "{folder}");
            assert!(scene.registry.sent() < 16 << 20, "{} bytes", scene.registry.sent());
        }
    }
}

/// Pushed as they are, so that every digest is right.
#[test]
fn bundles_that_parsers_read_in_two_ways_are_recorded_and_denied() {
    let (_, good) = signature();
    let good = String::from_utf8(good).unwrap();
    let deep = format!("{{\"x\":{}1{},", "[".repeat(1 << 16), "]".repeat(1 << 16));
    for (bad, why) in [
        (good.replacen('{', r#"{"mediaType":"x","#, 1), "malformed"),
        (good.replacen('{', r#"{"MediaType":"x","#, 1), "malformed"),
        (good.replacen(r#""payload":"#, r#""payload":"e30=","payload":"#, 1), "malformed"),
        (good.replacen('{', &deep, 1), "limit-exceeded"),
    ] {
        assert_ne!(bad, good);
        let scene = unsigned();
        scene.attach(&scene.root, bad.as_bytes());
        let verdict = scene.verify().unwrap();
        assert!(rejections(&verdict).contains(why), "{}", rejections(&verdict));
        assert_eq!(answer(Ok(verdict)), UNSIGNED);
    }
}

/// The key's holder signed it so: still nobody may read it in two ways.
#[test]
fn signed_statements_that_parsers_read_in_two_ways_are_recorded_and_denied() {
    let scene = unsigned();
    let text = String::from_utf8(statement(&scene.root.digest)).unwrap();
    for bad in [
        text.replacen(r#""subject":"#, r#""subject":[],"subject":"#, 1),
        text.replacen(r#""subject":"#, r#""Subject":[],"subject":"#, 1),
    ] {
        assert_ne!(bad, text);
        let scene = unsigned();
        scene.attach(&scene.root, &bundle(bad.as_bytes()));
        let verdict = scene.verify().unwrap();
        assert!(rejections(&verdict).contains("malformed"), "{}", rejections(&verdict));
        assert_eq!(answer(Ok(verdict)), UNSIGNED);
    }
    let scene = unsigned();
    scene.attach(&scene.root, &bundle(text.as_bytes()));
    assert_eq!(answer(scene.verify()), ALLOW, "the good one made the same way");
}

#[test]
fn a_signature_of_another_image_counts_for_no_other() {
    // a referrer of another image, listed as one of this
    let scene = unsigned();
    let other = scene.registry.put_manifest(REPOSITORY, None, media_type::OCI_INDEX, b"{}");
    let found = scene.attach(&other, &bundle(&statement(&scene.root.digest)));
    let mut entry = serde_json::to_value(&found).unwrap();
    entry["artifactType"] = media_type::SIGSTORE_BUNDLE.into();
    scene.registry.list_referrers(&scene.root.digest, vec![entry]);
    let verdict = scene.verify().unwrap();
    assert!(rejections(&verdict).contains("wrong-subject"), "{}", rejections(&verdict));
    assert_eq!(answer(Ok(verdict)), UNSIGNED);
    // a referrer of this image, whose bundle is about another
    let scene = unsigned();
    scene.attach(&scene.root, &bundle(&statement(&other.digest)));
    let verdict = scene.verify().unwrap();
    assert!(rejections(&verdict).contains("wrong-subject"), "{}", rejections(&verdict));
    assert_eq!(answer(Ok(verdict)), UNSIGNED);
}

#[test]
fn a_signature_s_manifest_that_is_an_index_too_is_recorded_and_denied() {
    let (good, bundle) = signature();
    let good = String::from_utf8(good).unwrap();
    for bad in [
        good.replacen('{', r#"{"manifests":[],"#, 1),
        good.replacen('{', r#"{"layers":[],"#, 1),
        good.replacen('{', r#"{"Subject":{},"#, 1),
    ] {
        let scene = unsigned();
        scene.registry.put_blob(REPOSITORY, &bundle);
        scene.registry.put_manifest(REPOSITORY, None, media_type::OCI_MANIFEST, bad.as_bytes());
        let listed = Descriptor::of(media_type::OCI_MANIFEST, bad.as_bytes());
        let entry = serde_json::to_value(listed).unwrap();
        scene.registry.list_referrers(&scene.root.digest, vec![entry]);
        let verdict = scene.verify().unwrap();
        assert_eq!(verdict.rejections.len(), 1, "{}", rejections(&verdict));
        assert_eq!(answer(Ok(verdict)), UNSIGNED);
    }
}

#[test]
fn types_and_sizes_of_a_list_are_hints() {
    let good = serde_json::to_value(Descriptor::of(media_type::OCI_MANIFEST, &signature().0));
    let mut listed = good.unwrap();
    listed["mediaType"] = media_type::OCI_INDEX.into();
    listed["artifactType"] = "application/spdx+json".into();
    let scene = unsigned();
    let (manifest, bundle) = signature();
    scene.registry.put_blob(REPOSITORY, &bundle);
    // under its digest it is no referrer to this registry, whose list lies
    let list = |entry: &Value| index(std::slice::from_ref(entry)).to_string().into_bytes();
    let kind = media_type::OCI_MANIFEST;
    scene.registry.put_manifest(REPOSITORY, None, kind, &manifest);
    scene.registry.lie(REFERRERS, Lie::Body(list(&listed)));
    assert_eq!(answer(scene.verify()), ALLOW);
    // but a wrong size says that it is not what was listed
    let scene = Scene::demo();
    listed["size"] = 5.into();
    scene.registry.lie(REFERRERS, Lie::Body(list(&listed)));
    assert_eq!(answer(scene.verify()), UNSIGNED);
}

#[test]
fn a_digest_in_a_list_that_leads_elsewhere_is_never_asked_for() {
    let scene = Scene::demo();
    let entries = ["sha256:../../../../etc/passwd", "../../../v2/x", "", "md5:00", "sha256:zz"]
        .map(|digest| json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 2}));
    scene.registry.list_referrers(&scene.root.digest, entries.to_vec());
    scene.registry.list_referrers(&scene.root.digest, vec![json!(1), json!(null), json!({})]);
    assert_eq!(answer(scene.verify()), ALLOW, "the good one still counts");
    for request in scene.registry.requests() {
        assert!(!request.target.contains("..") && !request.target.contains("passwd"));
    }
}

#[test]
fn pages_without_end_are_undecided() {
    let scene = Scene::demo();
    scene.registry.lie(REFERRERS, Lie::EndlessPages);
    assert_eq!(answer(scene.verify()), INCOMPLETE);
    assert_eq!(scene.registry.count(REFERRERS), limits().referrers_pages);
}

#[test]
fn pages_in_a_circle_or_elsewhere_keep_what_came_before() {
    let scene = Scene::demo();
    let here = format!("/v2/{REPOSITORY}/referrers/{}", scene.root.digest);
    let elsewhere = Registry::start(Options::default());
    for next in [here.clone(), format!("{}{here}", elsewhere.url()), "http://[".to_owned()] {
        for (scene, want) in [(Scene::demo(), ALLOW), (unsigned(), INCOMPLETE)] {
            let link = format!("<{next}>; rel=\"next\"");
            scene.registry.lie(REFERRERS, Lie::Header("Link", link));
            assert_eq!(answer(scene.verify()), want, "{next}");
            assert_eq!(scene.registry.count(REFERRERS), 1);
        }
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_list_that_cannot_be_read_is_never_an_empty_one() {
    for lie in [
        Lie::Status(401),
        Lie::Status(403),
        Lie::Status(500),
        Lie::Hangup,
        Lie::Cut(10),
        Lie::Endless,
        Lie::Body(b"{}".to_vec()),
        Lie::Body(b"<html>".to_vec()),
        Lie::Body("[".repeat(1 << 20).into_bytes()),
        Lie::Header("Content-Encoding", "gzip".into()),
        Lie::Header("Content-Type", "text/html".into()),
        Lie::StatusWith(307, vec![("Location", "/v2/app/referrers/x".into())]),
    ] {
        let scene = Scene::demo();
        scene.registry.lie(REFERRERS, lie.clone());
        let verdict = scene.verify();
        match verdict {
            Ok(verdict) => assert_eq!(answer(Ok(verdict)), INCOMPLETE, "{lie:?}"),
            error => drop(failure(error)),
        }
    }
}

/// Nothing of the older kind where an answer other than 404 says so.
#[test]
fn an_error_in_place_of_the_older_tag_is_undecided() {
    for (status, want) in [(404, UNSIGNED), (500, INCOMPLETE), (403, INCOMPLETE)] {
        let scene = unsigned();
        scene.registry.lie("GET */manifests/sha256-*.sig", Lie::Status(status));
        assert_eq!(answer(scene.verify()), want, "{status}");
    }
    let scene = Scene::demo();
    scene.registry.lie("GET */manifests/sha256-*.sig", Lie::Endless);
    assert_eq!(answer(scene.verify()), ALLOW, "the good one still counts");
}
