//! Trees of schema 1: layers whose size nobody states, frames that do not
//! hold, children of a list, copies.

use ocisign::Limits;
use ocisign::engine::copy::copy;
use ocisign::engine::{self, Soundness};
use ocisign::image::{Depth, Digest, NodeKind, NodeState, media_type as mt};
use ocisign::store::{Cached, Memory, Store, Target};

use super::{image, key, layer, sign, tree, unsigned, vector};

/// An image of two layers in memory, under the tag `v1`.
fn stored(signed: bool) -> (Memory, Vec<u8>, Vec<Vec<u8>>) {
    let layers = vec![layer("new"), layer("base")];
    let memory = Memory::new("memory");
    for layer in &layers {
        memory.put_blob(mt::DOCKER_SCHEMA_1_LAYER, layer.clone());
    }
    let payload = unsigned(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let (kind, bytes) = match signed {
        true => (mt::DOCKER_SCHEMA_1_SIGNED, sign(&payload, &key(1))),
        false => (mt::DOCKER_SCHEMA_1, payload),
    };
    memory.put_manifest(kind, bytes.clone(), Some("v1"));
    (memory, bytes, layers)
}

#[test]
fn layers_are_hashed_and_their_sizes_measured() {
    for signed in [true, false] {
        let (memory, bytes, layers) = stored(signed);
        let image = image(memory, "oci:dir:v1");
        for depth in [Depth::Manifests, Depth::Layers, Depth::Contents] {
            let tree = tree(&image, depth);
            let nodes = &tree.shape().nodes;
            assert!(tree.is_verified(), "{nodes:?}");
            let unsigned = unsigned(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
            assert_eq!(tree.root().digest, Digest::sha256(&unsigned));
            assert_eq!(tree.root().size, bytes.len() as u64);
            assert_eq!(tree.document(&tree.root().digest), Some(&unsigned[..]));
            assert_eq!(nodes[0].platform.as_ref().unwrap().to_string(), "linux/amd64");
            let found: Vec<_> = nodes.iter().filter(|n| n.kind == NodeKind::Layer).collect();
            assert_eq!(found.len(), 2);
            for (node, layer) in found.iter().zip(layers.iter().rev()) {
                assert_eq!(node.digest, Digest::sha256(layer).to_string());
                let read = depth != Depth::Manifests;
                assert_eq!(node.size, if read { layer.len() as u64 } else { 0 });
                assert_eq!(node.diff_id.is_some(), depth == Depth::Contents);
            }
            let noted = nodes[0].warnings.iter().any(|w| w.starts_with("signed by "));
            assert_eq!(noted, signed, "{:?}", nodes[0].warnings);
        }
    }
}

#[test]
fn wrong_long_and_absent_layers_are_told_apart() {
    let states = |change: &dyn Fn(&Memory, &Digest), limits: &Limits| {
        let (memory, _, layers) = stored(true);
        change(&memory, &Digest::sha256(&layers[1]));
        let image = image(memory, "oci:dir:v1");
        let tree = engine::read_tree(&image, Depth::Contents, limits, &engine::Silent);
        engine::block_on(tree).unwrap().shape().nodes[1].state.clone()
    };
    let limits = Limits::default();
    let wrong = |memory: &Memory, digest: &Digest| memory.put_as(digest, layer("other"));
    assert!(matches!(states(&wrong, &limits), NodeState::Mismatch(_)));
    let gone = |memory: &Memory, digest: &Digest| memory.remove(digest);
    assert_eq!(states(&gone, &limits), NodeState::Missing);
    let cut = |memory: &Memory, digest: &Digest| memory.put_as(digest, layer("base")[..9].to_vec());
    assert!(matches!(states(&cut, &limits), NodeState::Mismatch(_)));
    let small = Limits { unsized_layer_bytes: 20, ..Limits::default() };
    let none = |_: &Memory, _: &Digest| {};
    assert!(matches!(states(&none, &small), NodeState::LimitExceeded(_)));
    let long = |memory: &Memory, digest: &Digest| memory.put_as(digest, vec![0; 1 << 20]);
    assert!(matches!(states(&long, &small), NodeState::LimitExceeded(_)));
    // it is hashed as a tar in gzip, and says so where it is none
    let (memory, no_tar) = (Memory::new("memory"), b"no layer at all".to_vec());
    memory.put_blob(mt::DOCKER_SCHEMA_1_LAYER, no_tar.clone());
    memory.put_manifest(mt::DOCKER_SCHEMA_1, unsigned(&[&no_tar]), Some("v1"));
    let tree = tree(&image(memory, "oci:dir:v1"), Depth::Contents);
    assert!(matches!(tree.shape().nodes[1].state, NodeState::Malformed(_)));
}

#[test]
fn a_signature_that_does_not_hold_breaks_the_manifest() {
    for name in ["forged-zeros", "forged-one-of-two", "forged-kid", "forged-small-rsa"] {
        let memory = Memory::new("memory");
        memory.put_manifest(mt::DOCKER_SCHEMA_1_SIGNED, vector(name), Some("v1"));
        let tree = tree(&image(memory, "oci:dir:v1"), Depth::Manifests);
        assert!(matches!(tree.shape().nodes[0].state, NodeState::Malformed(_)), "{name}");
        assert!(matches!(engine::soundness(tree.shape()), Soundness::Broken(_)));
    }
    for name in ["ambiguous-extra-layers", "malformed-empty-signatures", "limit-tail"] {
        let memory = Memory::new("memory");
        memory.put_manifest(mt::DOCKER_SCHEMA_1_SIGNED, vector(name), Some("v1"));
        let tree = tree(&image(memory, "oci:dir:v1"), Depth::Manifests);
        assert!(!tree.is_verified(), "{name}");
        assert_eq!(tree.shape().nodes.len(), 1, "nothing is read from it");
    }
}

/// A list may state either size, and either of the two types.
#[test]
fn a_child_of_a_list_may_be_of_schema_1() {
    for signed in [true, false] {
        let (memory, bytes, layers) = stored(signed);
        let payload = unsigned(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for (kind, size, sound) in [
            (mt::DOCKER_SCHEMA_1, payload.len(), true),
            (mt::DOCKER_SCHEMA_1, bytes.len(), true),
            (mt::DOCKER_SCHEMA_1, bytes.len() + 1, false),
            (mt::DOCKER_SCHEMA_1_SIGNED, bytes.len(), signed),
            (mt::DOCKER_MANIFEST, bytes.len(), false),
        ] {
            let list = serde_json::json!({
                "schemaVersion": 2, "mediaType": mt::DOCKER_LIST, "manifests": [{
                    "mediaType": kind, "digest": Digest::sha256(&payload), "size": size,
                    "platform": {"os": "linux", "architecture": "amd64"},
                }],
            });
            memory.put_manifest(mt::DOCKER_LIST, list.to_string(), Some("list"));
            let image = image(memory.clone(), "oci:dir:list");
            let tree = tree(&image, Depth::Layers);
            assert_eq!(tree.is_verified(), sound, "{kind} {size}: {:?}", tree.shape().nodes);
            let layers = tree.shape().nodes.iter().filter(|n| n.kind == NodeKind::Layer).count();
            assert_eq!(layers, if sound { 2 } else { 0 });
        }
    }
}

/// One digest, two types: the bytes behind it are the payload for both, so
/// what the signatures add is seen by neither.
#[test]
fn a_digest_that_two_types_share_is_read_from_the_payload() {
    let (memory, _, layers) = stored(true);
    let payload = unsigned(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let entry = |kind: &str| serde_json::json!({"mediaType": kind, "digest": Digest::sha256(&payload), "size": payload.len()});
    let list = serde_json::json!({
        "schemaVersion": 2, "mediaType": mt::OCI_INDEX,
        "manifests": [entry(mt::DOCKER_SCHEMA_1), entry(mt::OCI_MANIFEST)],
    });
    memory.put_manifest(mt::OCI_INDEX, list.to_string(), Some("list"));
    let tree = tree(&image(memory, "oci:dir:list"), Depth::Layers);
    let last = tree.shape().nodes.last().unwrap();
    assert_ne!(last.state, NodeState::Verified);
    assert_eq!(last.media_type, mt::OCI_MANIFEST);
}

#[tokio::test]
async fn a_copy_keeps_the_signatures_and_never_writes_a_layout_of_them() {
    let (memory, bytes, layers) = stored(true);
    let (to, limits) = (Memory::new("to"), Limits::default());
    let target = Target::Tag("v1".to_owned());
    let copied = copy(&memory, &target, &to, Some("v1"), true, &limits).await.unwrap();
    assert_eq!(copied.root.media_type, mt::DOCKER_SCHEMA_1_SIGNED);
    assert_eq!(copied.blobs, 2);
    let sizes: usize = layers.iter().map(Vec::len).sum();
    assert_eq!(copied.bytes, sizes as u64);
    let raw = to.manifest(&Target::Digest(copied.root.digest), 1 << 20).await.unwrap();
    assert_eq!(raw.bytes, bytes);
    assert_eq!(raw.media_type.as_deref(), Some(mt::DOCKER_SCHEMA_1_SIGNED));

    let folder = tempfile::tempdir().unwrap();
    let layout = ocisign::store::Layout::create(folder.path(), limits.clone()).unwrap();
    let refused = copy(&memory, &target, &layout, Some("v1"), true, &limits).await.unwrap_err();
    assert!(refused.to_string().contains("copy it to a registry"), "{refused}");
    let (memory, ..) = stored(false);
    copy(&memory, &target, &layout, Some("v1"), true, &limits).await.unwrap();

    let (memory, _, layers) = stored(true);
    memory.put_as(&Digest::sha256(&layers[0]), layer("other"));
    let wrong = copy(&memory, &target, &Memory::new("to"), None, true, &limits).await.unwrap_err();
    assert!(wrong.is_denial(), "{wrong}");
    for name in ["forged-zeros", "ambiguous-extra-layers"] {
        let memory = Memory::new("memory");
        memory.put_manifest(mt::DOCKER_SCHEMA_1_SIGNED, vector(name), Some("v1"));
        let to = Memory::new("to");
        let wrong = copy(&memory, &target, &to, None, true, &limits).await.unwrap_err();
        assert!(wrong.is_denial(), "{name}: {wrong}");
    }
}

/// What is remembered under a digest is the form that came, signatures
/// included, and it is hashed as that form again.
#[tokio::test]
async fn a_shelf_keeps_the_signed_form() {
    let (memory, bytes, _) = stored(true);
    let shelf = std::sync::Arc::new(ocisign::store::cached::MemoryShelf::new(1 << 20));
    let cached = Cached::new(std::sync::Arc::new(memory.clone()), shelf, 1 << 20);
    let tag = Target::Tag("v1".to_owned());
    let first = cached.manifest(&tag, 1 << 20).await.unwrap();
    let digest = first.claimed.unwrap().digest;
    memory.remove(&digest);
    let again = cached.manifest(&Target::Digest(digest), 1 << 20).await.unwrap();
    assert_eq!(again.bytes, bytes);
}
