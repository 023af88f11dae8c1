//! Images that other projects test with, as they are: archives of Docker v1
//! (docker2aci's, and layers of the first Docker in moby), of `docker save`
//! (go-containerregistry's), manifests of schema 1 (moby's, containers/image's).

use ocisign::image::media_type;

use super::common::registry::{Options, Registry};
use super::common::run::Sandbox;
use super::common::{peer, peers};

/// A sandbox with keys and a copy of these files.
fn with(names: &[&str]) -> Option<Sandbox> {
    let s = super::sandbox();
    for name in names {
        s.write(name, std::fs::read(peer(&format!("fixtures/{name}"))?).unwrap());
    }
    Some(s)
}

#[test]
fn archives_of_docker_v1_that_attack_are_refused() {
    let names = ["fixture-test-depsloop.docker", "fixture-test-invalidlayerid.docker"];
    let Some(s) = with(&names) else { return };
    for (name, says) in names.into_iter().zip(["parents go round", "leads out of"]) {
        for line in [format!("tree docker-archive:{name}"), format!("inspect {name}")] {
            let ran = s.ocisign(&line);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(said.contains(says), "{ran}");
        }
        s.ocisign(&format!("tree docker-archive:{name}")).fails();
        s.ocisign(&format!("sign --key me.key docker-archive:{name}")).fails();
        s.ocisign(&format!("verify --key me.pub docker-archive:{name}")).fails();
        s.ocisign(&format!("convert docker-archive:{name} oci:out")).fails();
        assert!(!s.path("out").exists());
    }
}

/// Layers that Docker 0.4 to 0.11 made, packed as `docker save` did.
#[test]
fn layers_of_the_first_docker() {
    let base = "511136ea3c5a64f264b78b5433614aec563103b4d4702f3ba7d4d2698e22c158";
    let other = "46af0962ab5afeb5ce6740d4d91652e69206fc991fd5328c1a94d364ad00e457";
    let files =
        [base, other].map(|id| ["json", "layer.tar"].map(|f| format!("docker-v1/{id}/{f}")));
    let names: Vec<_> = files.iter().flatten().map(String::as_str).collect();
    let Some(s) = with(&names) else { return };
    if !peers(&["tar", "skopeo"]) {
        return;
    }
    s.write(&format!("docker-v1/{base}/VERSION"), "1.0");
    s.peer("tar", &format!("-C docker-v1 -cf old.tar {base}")).exits(0);
    let ran = s.ocisign("tree --depth contents docker-archive:old.tar").exits(0);
    ran.says("not content-addressed").says(base);
    s.ocisign("verify --key me.pub docker-archive:old.tar").exits(1).says("not content-addressed");
    s.ocisign("sign --key me.key docker-archive:old.tar").exits(0);
    s.ocisign("verify --key me.pub --depth contents docker-archive:old.tar").exits(0);
    s.ocisign("convert docker-archive:old.tar oci:new:v1").exits(0);
    let config = s.peer("skopeo", "inspect --config oci:new:v1").exits(0).json();
    // as GOARCH says it, for that is what OCI's readers look for
    assert_eq!(config["architecture"], "amd64");
    // its parent is not among moby's fixtures
    s.peer("tar", &format!("-C docker-v1 -cf part.tar {other}")).exits(0);
    s.ocisign("tree docker-archive:part.tar").fails().says("a parent that is not in the archive");
}

#[test]
fn archives_of_docker_save() {
    let sound = ["test_image_1.tar", "test_image_2.tar", "test_load_manifest.tar"];
    let others = ["test_bundle.tar", "test_link.tar", "hello-world-v25.tar"];
    let broken = ["null_manifest.tar", "content.tar"];
    let v1 = ["no_manifest.tar"];
    let Some(s) = with(&[&sound[..], &others[..], &broken[..], &v1[..]].concat()) else { return };
    for name in sound.iter().chain(&["hello-world-v25.tar"]) {
        let image = format!("docker-archive:{name}");
        s.ocisign(&format!("tree --depth contents {image}")).exits(0);
        s.ocisign(&format!("verify --key me.pub {image}")).exits(1);
        s.ocisign(&format!("sign --key me.key {image}")).exits(0);
        s.ocisign(&format!("verify --key me.pub --depth contents {image}")).exits(0);
    }
    for name in ["test_bundle.tar", "test_link.tar"] {
        let ran = s.ocisign(&format!("tree docker-archive:{name}")).exits(2);
        ran.says("holds 2 images");
    }
    for name in broken {
        s.ocisign(&format!("tree docker-archive:{name}")).fails();
    }
    // without its manifest.json it is what Docker wrote before it had one
    let ran = s.ocisign("tree docker-archive:no_manifest.tar").exits(0);
    ran.says("not content-addressed").says("1 other files");
}

/// The digests are those that libtrust and skopeo compute.
#[test]
fn manifests_of_schema_1() {
    let vectors = [
        ("good_manifest", "02fee8c3220ba806531f606525eceb83f4feb654f62b207191b1c9209188dedd", 0),
        ("bad_manifest", "24bd1b48", 1),
        ("no_signature_manifest", "7ec3615a", 0),
        (
            "v2s1.manifest.json",
            "7364fea9d84ee548ab67d4c46c6006289800c98de3fbf8c0a97138dfcc23f000",
            1,
        ),
        (
            "v2s1-unsigned.manifest.json",
            "7364fea9d84ee548ab67d4c46c6006289800c98de3fbf8c0a97138dfcc23f000",
            0,
        ),
        ("schema1.json", "5a26403ca5f91c7f04300e397efc83960afbfe2d2b34314383a53e267a604455", 0),
        (
            "oci1-to-schema1.json",
            "6feeaff9d4420e29f96881eb712e8762c28615666340222c8e054259f9bc87d4",
            0,
        ),
        (
            "schema1-for-oci-config.json",
            "163ac025575b775d1c0f9bf0bdd0f086883171eb475b5068e7defa4ca9e76516",
            0,
        ),
        (
            "schema2-to-schema1-by-docker.json",
            "c8a08b90c4899c341695c8b52733faace453cda3c20b2f9ad2c4390eac8eaee4",
            1,
        ),
        // a second fsLayers lies outside of what is signed (CVE-2014-8179)
        (
            "extra_data_manifest",
            "02fee8c3220ba806531f606525eceb83f4feb654f62b207191b1c9209188dedd",
            1,
        ),
    ];
    let names: Vec<_> = vectors.iter().map(|(name, ..)| *name).collect();
    let Some(s) = with(&names) else { return };
    if !peers(&["skopeo"]) {
        return;
    }
    let registry = Registry::start(Options::default());
    for (at, (name, digest, code)) in vectors.into_iter().enumerate() {
        let by_skopeo = s.peer("skopeo", &format!("manifest-digest {name}")).exits(0).stdout;
        assert!(by_skopeo.starts_with(&format!("sha256:{digest}")), "{name}: {by_skopeo}");
        let mut bytes = s.read(name);
        let signed = bytes.windows(12).any(|window| window == b"\"signatures\"");
        let kind = match signed {
            true => media_type::DOCKER_SCHEMA_1_SIGNED,
            false => media_type::DOCKER_SCHEMA_1,
        };
        // a newline behind the signatures, which editors write, is refused
        while signed && bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        registry.put_manifest("app", Some(&format!("v{at}")), kind, &bytes);
        let line = format!("tree --depth manifests {}/app:v{at}", registry.host());
        let ran = s.ocisign(&line);
        assert_eq!(ran.code, Some(code), "{name}: {ran}");
        if code == 0 {
            ran.says(&format!("sha256:{digest}"));
        }
    }
}
