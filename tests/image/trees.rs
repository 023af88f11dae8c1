//! Trees: what is wanted, and what each node's state says.

use ocisign::image::{
    Algorithm, Depth, Digest, NodeKind, NodeState, Root, TreeBuilder, media_type as mt,
};
use ocisign::limits::Limits;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::image::{Image, descriptor, gzip_layer, state, word};

const INDEX: NodeKind = NodeKind::Index;
const MANIFEST: NodeKind = NodeKind::Manifest;
const CONFIG: NodeKind = NodeKind::Config;
const LAYER: NodeKind = NodeKind::Layer;

fn single() -> Image {
    Image::single(&[gzip_layer(&[("a", b"1")])])
}

#[test]
fn a_good_image_is_verified_at_every_depth() {
    for depth in [Depth::Manifests, Depth::Layers, Depth::Contents] {
        let tree = Image::multi().tree(depth);
        assert!(tree.is_verified());
        let kinds: Vec<_> = tree.shape().nodes.iter().map(|n| n.kind).collect();
        let one = [MANIFEST, CONFIG, LAYER, LAYER];
        assert_eq!(kinds, [&[INDEX][..], &one, &one].concat());
        let layers = tree.shape().nodes.iter().filter(|n| n.kind == LAYER);
        for layer in layers {
            assert_eq!(layer.state == NodeState::NotRead, depth == Depth::Manifests);
            assert_eq!(layer.diff_id.is_some(), depth == Depth::Contents);
        }
        let platforms = tree.shape().nodes.iter().filter_map(|n| n.platform.as_ref());
        let platforms: Vec<String> = platforms.map(ToString::to_string).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    }
}

#[test]
fn a_shared_blob_is_wanted_once() {
    let image = Image::multi();
    for depth in [Depth::Layers, Depth::Contents] {
        let (tree, asked) = image.walk(depth, &Limits::default());
        // Two manifests, two configs, three layers of which one is shared.
        assert_eq!(asked.len(), 7);
        assert_eq!(tree.shape().nodes.iter().filter(|n| n.kind == LAYER).count(), 4);
    }
    let (_, asked) = image.walk(Depth::Manifests, &Limits::default());
    assert_eq!(asked.len(), 4);
}

#[test]
fn the_order_of_supply_leaves_no_trace() {
    let image = Image::multi();
    let last_first = image.tree(Depth::Layers);
    let root = Root { bytes: image.root.clone(), media_type: None, digest: None, size: None };
    let mut builder = TreeBuilder::new(root, Depth::Layers, &Limits::default());
    while let Some(want) = builder.wants().into_iter().next() {
        let bytes = &image.blobs[&want.digest.to_string()];
        match want.read {
            ocisign::image::Read::Document => builder.supply(&want, bytes),
            _ => builder.supply_layer(
                ocisign::image::check_reader(&want, &bytes[..], &Limits::default()).unwrap(),
            ),
        }
    }
    assert_eq!(builder.finish().shape(), last_first.shape());
}

#[test]
fn documents_are_kept_and_shown() {
    let image = single();
    let tree = image.tree(Depth::Manifests);
    assert_eq!(tree.root().digest, Digest::sha256(&image.root));
    assert_eq!(tree.root().size, image.root.len() as u64);
    assert_eq!(tree.root().media_type, mt::OCI_MANIFEST);
    assert_eq!(tree.document(&tree.root().digest), Some(&image.root[..]));
    let json: Vec<_> = tree.shape().nodes.iter().filter_map(|n| n.json.as_ref()).collect();
    assert_eq!(json.len(), 2);
    assert_eq!(json[0]["schemaVersion"], 2);
    assert_eq!(json[1]["architecture"], "amd64");
}

/// What a change to the image does to the first node of a kind.
#[test]
fn each_state_has_its_cause() {
    let image = single();
    let layer = image.document()["layers"][0]["digest"].as_str().unwrap().to_owned();
    let config = image.document()["config"]["digest"].as_str().unwrap().to_owned();
    let blob = |key: &str, bytes: Vec<u8>| {
        let mut image = image.clone();
        image.blobs.insert(key.to_owned(), bytes);
        image
    };
    let gone = |key: &str| {
        let mut image = image.clone();
        image.blobs.remove(key);
        image
    };
    let root = |pointer: &str, value: Value| {
        let mut document = image.document();
        *document.pointer_mut(pointer).unwrap() = value;
        image.with(&document)
    };
    let bytes = &image.blobs[&layer];
    let flipped = || [&bytes[..20], &[bytes[20] ^ 1], &bytes[21..]].concat();
    let with_urls = |image: Image| {
        let mut document = image.document();
        document["layers"][0]["urls"] = json!(["https://a.example/x"]);
        image.with(&document)
    };
    let of_layer = |field: &str, value: Value| root(&format!("/layers/0/{field}"), value);
    let good = descriptor(mt::OCI_LAYER_GZIP, bytes);
    for (cause, image, kind, want) in [
        ("flipped", blob(&layer, flipped()), LAYER, "mismatch"),
        ("cut", blob(&layer, bytes[1..].to_vec()), LAYER, "size-mismatch"),
        ("grown", blob(&layer, [&bytes[..], b"x"].concat()), LAYER, "size-mismatch"),
        ("gone", gone(&layer), LAYER, "missing"),
        ("elsewhere", with_urls(gone(&layer)), LAYER, "external"),
        ("here and elsewhere", with_urls(image.clone()), LAYER, "verified"),
        ("size lies", of_layer("size", json!(1)), LAYER, "size-mismatch"),
        (
            "D6",
            of_layer("digest", json!(format!("blake3:{}", "a".repeat(64)))),
            LAYER,
            "unverifiable",
        ),
        ("config flipped", blob(&config, b"{}".to_vec()), CONFIG, "size-mismatch"),
        ("config gone", gone(&config), CONFIG, "missing"),
        ("config gone", gone(&config), LAYER, "verified"),
        ("config too large", root("/config/size", json!(5 << 20)), CONFIG, "limit-exceeded"),
        ("config opaque", root("/config/mediaType", json!("a/b")), CONFIG, "verified"),
        ("C3", root("/layers", json!([])), CONFIG, "malformed"),
        ("C3", root("/layers", json!([good, good])), CONFIG, "malformed"),
        ("root of two kinds", root("/schemaVersion", json!(1)), MANIFEST, "malformed"),
        ("layer of no known kind", of_layer("mediaType", json!("a/b")), LAYER, "verified"),
    ] {
        let tree = image.tree(Depth::Layers);
        assert_eq!(state(&tree, kind), want, "{cause}");
        let all = tree.shape().nodes.iter().all(|n| word(&n.state) == "verified");
        assert_eq!(tree.is_verified(), all, "{cause}");
    }
    let mut doubled = image.clone();
    let text = String::from_utf8(image.root.clone()).unwrap();
    doubled.root = text.replacen('{', "{\"layers\":[],", 1).into_bytes();
    assert_eq!(state(&doubled.tree(Depth::Layers), MANIFEST), "ambiguous");
}

#[test]
fn the_root_must_be_what_was_asked_for() {
    let image = single();
    let of = |change: fn(&mut Root)| {
        let mut root =
            Root { bytes: image.root.clone(), media_type: None, digest: None, size: None };
        change(&mut root);
        let (tree, _) = image.walk_from(root, Depth::Layers, &Limits::default());
        word(&tree.shape().root().unwrap().state)
    };
    assert_eq!(of(|r| r.digest = Some(Digest::of(Algorithm::Sha512, &r.bytes))), "verified");
    assert_eq!(of(|r| r.digest = Some(Digest::sha256(b"other"))), "mismatch");
    assert_eq!(of(|r| r.size = Some(1)), "size-mismatch");
    assert_eq!(of(|r| r.media_type = Some(mt::OCI_MANIFEST.into())), "verified");
    assert_eq!(of(|r| r.media_type = Some("application/octet-stream".into())), "verified");
    assert_eq!(of(|r| r.media_type = Some(mt::DOCKER_MANIFEST.into())), "ambiguous");
    assert_eq!(of(|r| r.media_type = Some(mt::OCI_INDEX.into())), "ambiguous");
    assert_eq!(of(|r| r.media_type = Some("a/unheard-of".into())), "ambiguous");
    assert_eq!(of(|r| r.bytes.extend(vec![b' '; 5 << 20])), "limit-exceeded");
    assert_eq!(of(|r| r.bytes.clear()), "malformed");
}

#[test]
fn a_size_that_is_right_refutes_all_others() {
    // The same layer twice, once with a size that is wrong: fetched once.
    let (kind, bytes, diff_id) = gzip_layer(&[("a", b"1")]);
    let layers = [(kind, bytes.clone(), diff_id.clone()), (kind, bytes.clone(), diff_id)];
    let image = Image::single(&layers);
    let mut document = image.document();
    document["layers"][0]["size"] = json!(bytes.len() + 1);
    let (tree, _) = image.with(&document).walk(Depth::Layers, &Limits::default());
    let states: Vec<_> =
        tree.shape().nodes.iter().filter(|n| n.kind == LAYER).map(|n| word(&n.state)).collect();
    assert_eq!(states, ["size-mismatch", "verified"]);
}

#[test]
fn embedded_data_is_held_against_digest_and_size() {
    let image = single();
    let config = image.document()["config"]["digest"].as_str().unwrap().to_owned();
    let with_data = |data: &str| {
        let mut document = image.document();
        document["config"]["data"] = json!(data);
        image.with(&document)
    };
    use base64::Engine as _;
    let right = base64::engine::general_purpose::STANDARD.encode(&image.blobs[&config]);
    let mut wrong = image.blobs[&config].clone();
    wrong[0] ^= 1;
    let wrong = base64::engine::general_purpose::STANDARD.encode(&wrong);
    assert_eq!(state(&with_data(&right).tree(Depth::Layers), CONFIG), "verified");
    assert_eq!(state(&with_data(&wrong).tree(Depth::Layers), CONFIG), "mismatch");
    assert_eq!(state(&with_data("YQ==").tree(Depth::Layers), CONFIG), "size-mismatch");
    // It stands in for a blob that the store does not have, never for a
    // wrong one.
    let mut gone = with_data(&right);
    gone.blobs.remove(&config);
    let tree = gone.tree(Depth::Layers);
    assert!(tree.is_verified());
    assert_eq!(tree.shape().nodes[1].warnings.len(), 1);
    let mut bad = with_data(&right);
    let length = bad.blobs[&config].len();
    bad.blobs.insert(config, vec![b' '; length]);
    assert_eq!(state(&bad.tree(Depth::Layers), CONFIG), "mismatch");
}

#[test]
fn a_subject_is_not_part_of_the_tree() {
    let image = single();
    let mut document = image.document();
    document["subject"] = descriptor(mt::OCI_MANIFEST, b"missing");
    let (tree, asked) = image.with(&document).walk(Depth::Contents, &Limits::default());
    assert!(tree.is_verified());
    assert_eq!((tree.shape().nodes.len(), asked.len()), (3, 2));
}

#[test]
fn an_artifact_has_its_type_and_maybe_no_layers() {
    let mut image = Image::default();
    image.put(b"{}");
    let empty = descriptor(mt::OCI_EMPTY, b"{}");
    let root = json!({"schemaVersion": 2, "mediaType": mt::OCI_MANIFEST, "artifactType": "a/b",
        "config": empty, "layers": [empty]});
    let (tree, asked) = image.with(&root).walk(Depth::Contents, &Limits::default());
    assert!(tree.is_verified());
    assert_eq!(asked.len(), 1);
    assert_eq!(tree.shape().root().unwrap().artifact_type.as_deref(), Some("a/b"));
    let root = json!({"schemaVersion": 2, "mediaType": mt::OCI_MANIFEST,
        "config": descriptor("a/config", b"{}"), "layers": []});
    let tree = image.with(&root).tree(Depth::Contents);
    assert!(tree.is_verified());
    assert_eq!(tree.shape().root().unwrap().artifact_type.as_deref(), Some("a/config"));
}

/// An index of these entries.
fn index(image: &mut Image, entries: Vec<Value>) -> Vec<u8> {
    let index = json!({"schemaVersion": 2, "mediaType": mt::OCI_INDEX, "manifests": entries});
    let bytes = index.to_string().into_bytes();
    image.put(&bytes);
    bytes
}

#[test]
fn children_of_unknown_type_are_opaque() {
    let mut image = single();
    image.put(b"anything");
    let entries = vec![descriptor("a/unheard-of", b"anything")];
    image.root = index(&mut image, entries);
    let tree = image.tree(Depth::Manifests);
    assert_eq!(word(&tree.shape().nodes[1].state), "verified");
    assert!(tree.shape().nodes.iter().skip(1).all(|n| n.kind == NodeKind::Opaque));
}

/// manifest-v2-2.md: an entry of a list says its platform.
#[test]
fn a_list_whose_entry_has_no_platform_is_told() {
    let mut image = single();
    let manifest = image.root.clone();
    image.put(&manifest);
    for (kind, platform, told) in [
        (mt::DOCKER_LIST, None, true),
        (mt::DOCKER_LIST, Some(json!({"os": "linux", "architecture": "amd64"})), false),
        (mt::OCI_INDEX, None, false),
    ] {
        let mut entry = descriptor(mt::OCI_MANIFEST, &manifest);
        entry["platform"] = platform.unwrap_or_default();
        let list = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]});
        image.root = list.to_string().into_bytes();
        let tree = image.tree(Depth::Layers);
        assert!(tree.is_verified());
        let warnings = &tree.shape().nodes[1].warnings;
        assert_eq!(warnings.iter().any(|w| w.contains("`platform`")), told, "{kind}");
    }
}

#[test]
fn indexes_nest_up_to_the_limit() {
    let mut image = single();
    let manifest = image.root.clone();
    image.put(&manifest);
    let mut entry = descriptor(mt::OCI_MANIFEST, &manifest);
    for depth in 1..=5 {
        image.root = index(&mut image, vec![entry]);
        entry = descriptor(mt::OCI_INDEX, &image.root);
        let tree = image.tree(Depth::Layers);
        assert_eq!(tree.is_verified(), depth <= 4, "{depth}");
    }
    let tree = image.tree(Depth::Layers);
    assert_eq!(word(&tree.shape().nodes.last().unwrap().state), "limit-exceeded");
}

#[test]
fn a_tree_that_multiplies_is_cut() {
    // Each index names the next one fifty times.
    let mut image = single();
    let manifest = image.root.clone();
    image.put(&manifest);
    let mut entry = descriptor(mt::OCI_MANIFEST, &manifest);
    for _ in 0..4 {
        image.root = index(&mut image, vec![entry; 50]);
        entry = descriptor(mt::OCI_INDEX, &image.root);
    }
    let (tree, asked) = image.walk(Depth::Layers, &Limits::default());
    assert!(!tree.is_verified());
    assert!(tree.shape().nodes.len() <= 10_000);
    assert!(asked.len() <= 6);
    let cut = tree.shape().nodes.iter().any(|n| word(&n.state) == "limit-exceeded");
    assert!(cut);
}

#[test]
fn memory_for_documents_is_bounded() {
    // One large config below many manifests: its values stand at each.
    let mut image = Image::default();
    let config = json!({"architecture": "a", "os": "b",
        "rootfs": {"type": "layers", "diff_ids": []}, "x": vec![0; 200_000]});
    let config = config.to_string().into_bytes();
    image.put(&config);
    let entries = (0..20).map(|i| {
        let manifest = json!({"schemaVersion": 2, "mediaType": mt::OCI_MANIFEST,
            "config": descriptor(mt::OCI_CONFIG, &config), "layers": [],
            "annotations": {"i": i.to_string()}});
        let bytes = manifest.to_string().into_bytes();
        image.put(&bytes);
        descriptor(mt::OCI_MANIFEST, &bytes)
    });
    let entries = entries.collect();
    image.root = index(&mut image, entries);
    let (tree, asked) = image.walk(Depth::Layers, &Limits::default());
    let configs = tree.shape().nodes.iter().filter(|n| n.kind == CONFIG);
    let read = configs.filter(|n| n.json.is_some()).count();
    assert!((1..20).contains(&read), "{read}");
    assert_eq!(asked.iter().filter(|w| w.kind == CONFIG).count(), 1);
}

#[test]
fn a_platform_that_disagrees_is_told() {
    let image = Image::multi();
    let mut document = image.document();
    document["manifests"][0]["platform"]["architecture"] = json!("riscv64");
    let tree = image.with(&document).tree(Depth::Manifests);
    let node = &tree.shape().nodes[1];
    assert_eq!(node.declared_platform.as_ref().unwrap().architecture, "riscv64");
    assert_eq!(node.platform.as_ref().unwrap().architecture, "amd64");
    assert_eq!(node.warnings.len(), 1);
}

#[test]
fn what_was_never_supplied_is_not_verified() {
    for depth in [Depth::Manifests, Depth::Layers, Depth::Contents] {
        let image = Image::multi();
        let root = Root { bytes: image.root, media_type: None, digest: None, size: None };
        let tree = TreeBuilder::new(root, depth, &Limits::default()).finish();
        assert!(!tree.is_verified());
        assert_eq!(word(&tree.shape().nodes[1].state), "limit-exceeded");
    }
    let image = single();
    let root = Root { bytes: image.root, media_type: None, digest: None, size: None };
    let tree = TreeBuilder::new(root, Depth::Contents, &Limits::default()).finish();
    let states: Vec<_> = tree.shape().nodes.iter().map(|n| word(&n.state)).collect();
    assert_eq!(states, ["verified", "limit-exceeded", "limit-exceeded"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Flipping any bit of any blob of the tree shows in the tree.
    #[test]
    fn no_flipped_bit_goes_unseen(
        blob in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
        depth in prop::sample::select(vec![Depth::Layers, Depth::Contents]),
    ) {
        let mut image = Image::multi();
        let digest = Digest::sha256(&image.root);
        let keys: Vec<String> = image.blobs.keys().cloned().collect();
        let which = blob.index(keys.len() + 1);
        let bytes = match keys.get(which) {
            Some(key) => image.blobs.get_mut(key).unwrap(),
            None => &mut image.root,
        };
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let root = Root {
            bytes: image.root.clone(), media_type: None, digest: Some(digest), size: None,
        };
        let (tree, _) = image.walk_from(root, depth, &Limits::default());
        prop_assert!(!tree.is_verified());
        prop_assert!(tree.shape().nodes.iter().any(|n| matches!(n.state, NodeState::Mismatch(_))));
    }

    /// Cutting or growing any blob shows in the tree.
    #[test]
    fn no_other_length_goes_unseen(
        blob in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        grow in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut image = Image::multi();
        let keys: Vec<String> = image.blobs.keys().cloned().collect();
        let bytes = image.blobs.get_mut(&keys[blob.index(keys.len())]).unwrap();
        let length = bytes.len();
        if grow.is_empty() {
            bytes.truncate(cut.index(length));
        }
        bytes.extend(&grow);
        let tree = image.tree(Depth::Layers);
        prop_assert!(!tree.is_verified());
    }

    /// Any bytes as a root, of any type, get an answer.
    #[test]
    fn any_root_gets_an_answer(
        text in prop_oneof![
            r#"[\[\]{}:,"a-zA-Z0-9 ]{0,60}"#,
            r#"\{"schemaVersion":2,"(config|layers|manifests)":(\[\]|\{\}|null|1)\}"#,
        ],
        kind in prop::option::of(prop::sample::select(vec![mt::OCI_INDEX, mt::OCI_MANIFEST, "a/b"])),
    ) {
        let image = Image {
            root: text.into_bytes(), root_type: kind.map(Into::into), ..Image::default()
        };
        let tree = image.tree(Depth::Contents);
        prop_assert!(!tree.shape().nodes.is_empty());
    }
}
