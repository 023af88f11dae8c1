//! Other bytes than the digest says, other lengths than the size says, bodies
//! that never end, for each kind of node in the image's own tree.

use super::tree::{Kind, a, nodes};
use super::*;
use crate::common::registry::Lie;

/// The pinned image, where `node` is answered with a lie.
fn with(kind: Kind, lie: Lie) -> (Scene, Result<Verdict, Error>) {
    let scene = Scene::demo();
    scene.registry.lie(&a(kind).request(), lie);
    let verdict = scene.verify_pinned();
    (scene, verdict)
}

#[test]
fn the_truth_is_allowed_by_tag_and_by_digest() {
    let scene = Scene::demo();
    assert_eq!(answer(scene.verify()), ALLOW);
    assert_eq!(answer(scene.verify_pinned()), ALLOW);
    assert_eq!(answer(scene.verify_with(&limits(), Depth::Contents)), ALLOW);
}

#[test]
fn a_changed_byte_or_length_anywhere_in_the_tree_is_denied() {
    for node in nodes() {
        let end = node.bytes.len() - 1;
        let flipped = |at: usize| {
            let mut bytes = node.bytes.clone();
            bytes[at] ^= 1;
            bytes
        };
        let grown = |by: &[u8]| [node.bytes.as_slice(), by].concat();
        for (what, bytes) in [
            ("first byte", flipped(0)),
            ("middle byte", flipped(end / 2)),
            ("last byte", flipped(end)),
            ("cut", node.bytes[..end].to_vec()),
            ("empty", Vec::new()),
            ("grown", grown(b" ")),
            ("grown over every limit", grown(&vec![b' '; 5 << 20])),
        ] {
            // the digest of the root is all that a pinned name knows of it
            if (node.kind, what) == (Kind::Root, "grown over every limit") {
                continue;
            }
            let scene = Scene::demo();
            scene.registry.lie(&node.request(), Lie::Body(bytes));
            assert_eq!(answer(scene.verify_pinned()), INTEGRITY, "{:?}: {what}", node.kind);
        }
    }
}

#[test]
fn a_root_that_is_too_large_is_an_error() {
    let (_, verdict) = with(Kind::Root, Lie::Body(vec![b' '; 5 << 20]));
    assert!(failure(verdict).contains("larger than the limit"));
}

#[test]
fn an_endless_body_is_read_little_further_than_its_size() {
    let (scene, verdict) = with(Kind::Root, Lie::Endless);
    assert!(failure(verdict).contains("larger than the limit"));
    assert!(scene.registry.sent() < 32 << 20, "{} bytes", scene.registry.sent());
    for kind in [Kind::Child, Kind::Config, Kind::Layer] {
        let (scene, verdict) = with(kind, Lie::Endless);
        assert_eq!(answer(verdict), INTEGRITY, "{kind:?}");
        // what the sockets hold on both ends counts as sent
        assert!(scene.registry.sent() < 16 << 20, "{kind:?}: {} bytes", scene.registry.sent());
    }
}

#[test]
fn a_length_that_is_less_than_the_body_is_denied() {
    for kind in [Kind::Root, Kind::Child, Kind::Config, Kind::Layer] {
        let (_, verdict) = with(kind, Lie::Length(a(kind).bytes.len() as u64 - 1));
        assert_eq!(answer(verdict), INTEGRITY, "{kind:?}");
    }
}

#[test]
fn a_length_that_is_never_reached_is_no_answer() {
    for kind in [Kind::Root, Kind::Config, Kind::Layer] {
        let (_, verdict) = with(kind, Lie::Length(a(kind).bytes.len() as u64 + 1000));
        failure(verdict);
    }
    // a size is stated for it, and is not kept already by the head
    let (_, verdict) = with(Kind::Child, Lie::Length(u64::MAX / 2));
    assert_eq!(answer(verdict), INTEGRITY);
}

#[test]
fn a_body_that_breaks_off_each_time_is_no_answer() {
    for kind in [Kind::Root, Kind::Child, Kind::Config, Kind::Layer] {
        let (scene, verdict) = with(kind, Lie::Cut(10));
        failure(verdict);
        let asked = scene.registry.count(&a(kind).request());
        assert!((2..=3).contains(&asked), "{kind:?}: asked {asked} times");
    }
}

#[test]
fn a_slow_or_silent_body_is_given_up_on() {
    let impatient = Limits { idle_timeout: Duration::from_millis(300), attempts: 1, ..limits() };
    for kind in [Kind::Child, Kind::Config, Kind::Layer] {
        for lie in [Lie::Drip(1, Duration::from_millis(100)), Lie::Silent(BOUND)] {
            let scene = Scene::demo();
            scene.registry.lie(&a(kind).request(), lie);
            let said = failure(scene.verify_with(&impatient, Depth::Layers));
            assert!(said.contains("almost nothing") || said.contains("did not answer"), "{said}");
        }
    }
}

#[test]
fn the_whole_has_a_deadline() {
    let scene = Scene::demo();
    scene.registry.lie(&a(Kind::Layer).request(), Lie::Silent(BOUND));
    let hurried = Limits { deadline: Duration::from_millis(500), ..limits() };
    let verdict = scene.verify_with(&hurried, Depth::Layers);
    assert!(failure(verdict).contains("not decided within"));
}

#[test]
fn what_is_missing_is_undecided() {
    for kind in [Kind::Child, Kind::Config, Kind::Layer] {
        let (_, verdict) = with(kind, Lie::Status(404));
        assert_eq!(answer(verdict), INCOMPLETE, "{kind:?}");
    }
    let (_, verdict) = with(Kind::Root, Lie::Status(404));
    assert!(failure(verdict).contains("does not exist"));
}

#[test]
fn a_compressed_answer_is_no_answer() {
    for kind in [Kind::Root, Kind::Child, Kind::Config, Kind::Layer] {
        let (_, verdict) = with(kind, Lie::Header("Content-Encoding", "gzip".into()));
        assert!(failure(verdict).contains("compressed"), "{kind:?}");
    }
}

/// A signed index may state a size that its child does not have.
#[test]
fn a_wrong_size_in_a_signed_document_is_denied() {
    for wrong in [-1i64, 1, 1 << 30] {
        let config = config(&[]);
        let child = manifest(&Descriptor::of(media_type::OCI_CONFIG, &config), &[]).to_string();
        let mut stated = Descriptor::of(media_type::OCI_MANIFEST, child.as_bytes());
        stated.size = stated.size.checked_add_signed(wrong).unwrap();
        let root = index(&[serde_json::to_value(&stated).unwrap()]).to_string();
        let others: [(&str, &[u8]); 2] =
            [("", &config), (media_type::OCI_MANIFEST, child.as_bytes())];
        let scene = Scene::signed(media_type::OCI_INDEX, root.as_bytes(), &others);
        // over 4 MiB nobody looks whether it is right
        let want = if wrong > 4 << 20 { INCOMPLETE } else { INTEGRITY };
        assert_eq!(answer(scene.verify()), want, "off by {wrong}");
    }
}
