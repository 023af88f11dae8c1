//! Documents that could be read in two ways, that nest or lead where they
//! must not, and layers that explode. All are signed: no signature helps.

use super::tree::{Kind, a};
use super::*;
use crate::common::registry::Lie;

/// A config and a signed root around it, with or without an index between.
fn around(config: &[u8], child: &str) -> [(Scene, &'static str); 2] {
    let config: (&str, &[u8]) = ("", config);
    let stated = Descriptor::of(media_type::OCI_MANIFEST, child.as_bytes());
    let above = index(&[serde_json::to_value(&stated).unwrap()]).to_string();
    let below = (media_type::OCI_MANIFEST, child.as_bytes());
    [
        (Scene::signed(media_type::OCI_MANIFEST, child.as_bytes(), &[config]), "as root"),
        (Scene::signed(media_type::OCI_INDEX, above.as_bytes(), &[config, below]), "as child"),
    ]
}

/// A manifest with more in it, as root and as child.
fn with_fields(fields: &str) -> [(Scene, &'static str); 2] {
    let config = config(&[]);
    let plain = manifest(&Descriptor::of(media_type::OCI_CONFIG, &config), &[]).to_string();
    around(&config, &format!("{},{fields}}}", plain.strip_suffix('}').unwrap()))
}

#[test]
fn a_good_image_made_the_same_way_is_allowed() {
    for (scene, place) in with_fields(r#""annotations":{"a":"b"}"#) {
        assert_eq!(answer(scene.verify()), ALLOW, "{place}");
    }
}

/// CVE-2021-41190: one reader sees an image, another an index.
#[test]
fn a_manifest_that_is_an_index_too_is_denied() {
    let child = serde_json::to_string(&Descriptor::of(media_type::OCI_MANIFEST, b"{}")).unwrap();
    for fields in [r#""manifests":[]"#.to_owned(), format!(r#""manifests":[{child}]"#)] {
        for (scene, place) in with_fields(&fields) {
            assert_eq!(answer(scene.verify()), INTEGRITY, "{fields} {place}");
        }
    }
}

#[test]
fn what_parsers_read_in_two_ways_is_denied() {
    for fields in [
        r#""mediaType":"application/vnd.oci.image.manifest.v1+json""#,
        r#""layers":[]"#,
        r#""Layers":[]"#,
        r#""annotations":{"a":"1","a":"2"}"#,
        r#""x":{"deep":[{"k":1,"k":2}]}"#,
        r#""x":1e999"#,
    ] {
        for (scene, place) in with_fields(fields) {
            assert_eq!(answer(scene.verify()), INTEGRITY, "{fields} {place}");
        }
    }
}

#[test]
fn a_config_with_doubled_keys_is_denied() {
    let good = String::from_utf8(config(&[])).unwrap();
    for (from, to) in [
        (r#""os":"linux""#, r#""os":"linux","os":"windows""#),
        (r#""os":"linux""#, r#""os":"linux","OS":"windows""#),
        (r#""config":{}"#, r#""config":{"User":"1","User":"0"}"#),
        (r#""diff_ids":[]"#, r#""diff_ids":[],"diff_ids":[]"#),
    ] {
        assert!(good.contains(from));
        let bad = good.replace(from, to);
        let described = Descriptor::of(media_type::OCI_CONFIG, bad.as_bytes());
        let child = manifest(&described, &[]).to_string();
        for (scene, place) in around(bad.as_bytes(), &child) {
            assert_eq!(answer(scene.verify()), INTEGRITY, "{to} {place}");
        }
    }
}

#[test]
fn json_that_nests_without_end_reaches_a_bound() {
    for depth in [100, 1 << 20] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        for (scene, place) in with_fields(&format!(r#""x":{open}{close}"#)) {
            assert_eq!(answer(scene.verify()), INCOMPLETE, "{depth} deep {place}");
        }
    }
}

#[test]
fn indexes_that_nest_without_end_reach_a_bound() {
    let mut others: Vec<Vec<u8>> = Vec::new();
    let mut root = index(&[]).to_string();
    for _ in 0..20 {
        let below = Descriptor::of(media_type::OCI_INDEX, root.as_bytes());
        others.push(root.into_bytes());
        root = index(&[serde_json::to_value(below).unwrap()]).to_string();
    }
    let others: Vec<_> =
        others.iter().map(|bytes| (media_type::OCI_INDEX, bytes.as_slice())).collect();
    let scene = Scene::signed(media_type::OCI_INDEX, root.as_bytes(), &others);
    assert_eq!(answer(scene.verify()), INCOMPLETE);
    let asked = scene.registry.count("GET /v2/app/manifests/*");
    assert!(asked <= limits().index_depth + 4, "{asked} manifests");
}

/// Each index lists the next one a hundred times: 100^4 nodes.
#[test]
fn a_tree_that_multiplies_reaches_a_bound() {
    let mut others: Vec<Vec<u8>> = Vec::new();
    let mut root = index(&[]).to_string();
    for level in 0..3 {
        let below = Descriptor::of(media_type::OCI_INDEX, root.as_bytes());
        others.push(root.into_bytes());
        let below = serde_json::to_value(below).unwrap();
        root = index(&vec![below; 100 + level]).to_string();
    }
    let others: Vec<_> =
        others.iter().map(|bytes| (media_type::OCI_INDEX, bytes.as_slice())).collect();
    let scene = Scene::signed(media_type::OCI_INDEX, root.as_bytes(), &others);
    assert_eq!(answer(scene.verify()), INCOMPLETE);
    assert!(scene.registry.requests().len() < 20, "each is fetched once");
}

#[test]
fn a_digest_that_leads_elsewhere_is_denied_and_never_asked_for() {
    for digest in [
        "sha256:../../../../etc/passwd",
        "../../../v2/other/manifests/v1",
        "sha256:aa/../../x",
        "sha256:%2e%2e%2f",
    ] {
        let entry = json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 2});
        let root = index(&[entry]).to_string();
        let scene = Scene::signed(media_type::OCI_INDEX, root.as_bytes(), &[]);
        assert_eq!(answer(scene.verify()), INTEGRITY, "{digest}");
        for request in scene.registry.requests() {
            assert!(!request.target.contains("..") && !request.target.contains("passwd"));
        }
    }
}

#[test]
fn a_tag_that_leads_elsewhere_is_no_name() {
    let scene = Scene::demo();
    for tag in ["../../x", "v1/../v2", "..", "v1%2f..", "v1?x=y", "v1#x"] {
        let name = format!("{}/{REPOSITORY}:{tag}", scene.registry.host());
        assert!(Source::parse(&name).is_err(), "{name}");
    }
}

#[test]
fn another_content_type_than_the_document_s_own_is_denied() {
    for kind in [media_type::OCI_MANIFEST, media_type::DOCKER_LIST] {
        let scene = Scene::demo();
        scene.registry.lie("GET */manifests/v1", Lie::Header("Content-Type", kind.into()));
        assert_eq!(answer(scene.verify()), INTEGRITY, "{kind}");
    }
    // a child's type is what its index says; the header adds nothing
    let scene = Scene::demo();
    let lie = Lie::Header("Content-Type", media_type::OCI_INDEX.into());
    scene.registry.lie(&a(Kind::Child).request(), lie);
    assert_eq!(answer(scene.verify()), ALLOW);
    // and none at all adds nothing either
    let scene = Scene::demo();
    scene.registry.lie("GET */manifests/v1", Lie::NoHeader("Content-Type"));
    assert_eq!(answer(scene.verify()), ALLOW);
}

#[test]
fn another_type_in_the_index_than_in_the_document_is_denied() {
    let config = config(&[]);
    let child = manifest(&Descriptor::of(media_type::OCI_CONFIG, &config), &[]).to_string();
    for kind in [media_type::OCI_INDEX, media_type::DOCKER_MANIFEST, media_type::DOCKER_LIST] {
        let stated = Descriptor::of(kind, child.as_bytes());
        let root = index(&[serde_json::to_value(stated).unwrap()]).to_string();
        let others: [(&str, &[u8]); 2] = [("", &config), (kind, child.as_bytes())];
        let scene = Scene::signed(media_type::OCI_INDEX, root.as_bytes(), &others);
        assert_eq!(answer(scene.verify()), INTEGRITY, "{kind}");
    }
}

/// A signed image with one layer, which decompresses to `contents` zeros.
fn bomb(media_type: &str, packed: &[u8], diff_id: &Digest) -> Scene {
    let config = config(std::slice::from_ref(diff_id));
    let layer = Descriptor::of(media_type, packed);
    let root = manifest(&Descriptor::of(media_type::OCI_CONFIG, &config), &[layer]).to_string();
    let others: [(&str, &[u8]); 2] = [("", &config), ("", packed)];
    Scene::signed(media_type::OCI_MANIFEST, root.as_bytes(), &others)
}

fn zeros_of(mut out: impl std::io::Write, bytes: usize) {
    let chunk = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        out.write_all(&chunk).unwrap();
    }
}

#[test]
fn a_bomb_reaches_a_bound_and_a_shallow_look_does_not_light_it() {
    const SIZE: usize = 256 << 20;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    zeros_of(&mut gzip, SIZE);
    let gzip = gzip.finish().unwrap();
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zeros_of(&mut zstd, SIZE);
    let zstd = zstd.finish().unwrap();
    assert!(zstd.len() * 2000 < SIZE, "{} bytes are no bomb", zstd.len());
    let diff_id = Digest::sha256(b"nobody gets that far");
    let small = Limits { layer_contents_bytes: 32 << 20, ..limits() };
    for (kind, packed, limits) in [
        (media_type::OCI_LAYER_GZIP, &gzip, small.clone()),
        (media_type::OCI_LAYER_ZSTD, &zstd, small),
        // over the ratio long before the default limit
        (media_type::OCI_LAYER_GZIP, &gzip, limits()),
        (media_type::OCI_LAYER_ZSTD, &zstd, limits()),
    ] {
        let scene = bomb(kind, packed, &diff_id);
        let verdict = scene.verify_with(&limits, Depth::Contents).unwrap();
        let told = verdict.findings.join(" ");
        assert!(told.contains("limit") || told.contains("more than"), "{told}");
        assert_eq!(answer(Ok(verdict)), INCOMPLETE, "{kind}");
        // hashed as it is, it is a blob like any other
        assert_eq!(answer(scene.verify_with(&limits, Depth::Layers)), ALLOW, "{kind}");
    }
}
