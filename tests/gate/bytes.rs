//! Bytes remembered by their digest: what a shelf may do, and cannot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use ocisign::gate::Settings;
use ocisign::image::{Descriptor, Digest, media_type};
use ocisign::store::cached::MemoryShelf;
use ocisign::store::{Blob, Cached, Chunk, Memory, Shelf, Store, StoreError, Target};

use crate::scene::*;

/// A shelf that shows what is on it, and changes it.
#[derive(Debug, Default)]
struct Glass(Mutex<BTreeMap<Digest, Chunk>>);

impl Glass {
    fn damage(&self, damage: Damage) {
        let mut kept = self.0.lock().unwrap();
        assert!(kept.len() >= 3, "manifest, config and bundle");
        kept.values_mut().for_each(|bytes| *bytes = damage(bytes).into());
    }
}

impl Shelf for Glass {
    fn find(&self, key: &Digest) -> Option<Chunk> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn keep(&self, key: &Digest, bytes: &[u8]) {
        self.0.lock().unwrap().insert(key.clone(), Chunk::copy_from_slice(bytes));
    }
}

const MOST: u64 = 1000;
const MANIFEST: &[u8] = br#"{"schemaVersion": 2}"#;

fn cached(store: &Memory, shelf: &Arc<Glass>) -> Cached {
    Cached::new(Arc::new(store.clone()), shelf.clone(), MOST)
}

async fn blob(store: &dyn Store, of: &Descriptor) -> Result<Vec<u8>, StoreError> {
    let Blob::Stream(stream) = store.blob(&of.digest, of.size).await? else { panic!("a file") };
    let chunks: Vec<Chunk> = stream.try_collect().await?;
    Ok(chunks.concat())
}

#[tokio::test]
async fn what_was_fetched_by_digest_is_fetched_once() {
    let (store, shelf) = (Memory::new("one"), Arc::new(Glass::default()));
    let small = store.put_blob("a/b", &b"small"[..]);
    let manifest = store.put_manifest(media_type::OCI_MANIFEST, MANIFEST, Some("v1"));
    let cached = cached(&store, &shelf);
    assert_eq!(blob(&cached, &small).await.unwrap(), b"small");
    let by_tag = cached.manifest(&Target::Tag("v1".to_owned()), 4096).await.unwrap();
    store.remove(&small.digest);
    store.remove(&manifest.digest);
    assert_eq!(blob(&cached, &small).await.unwrap(), b"small");
    let target = Target::Digest(manifest.digest.clone());
    let by_digest = cached.manifest(&target, 4096).await.unwrap();
    assert_eq!((by_digest.bytes, by_digest.media_type), (by_tag.bytes, by_tag.media_type));
    // the caller's bound is the caller's
    let long = cached.manifest(&target, 3).await.unwrap_err();
    assert!(matches!(long, StoreError::TooLarge { limit: 3, .. }), "{long}");
}

/// A tag, a list and an absence are what they are now.
#[tokio::test]
async fn what_can_change_is_never_remembered() {
    let (store, shelf) = (Memory::new("one"), Arc::new(Glass::default()));
    let cached = cached(&store, &shelf);
    let tag = Target::Tag("v1".to_owned());
    assert!(cached.manifest(&tag, 4096).await.is_err());
    let first = store.put_manifest(media_type::OCI_MANIFEST, MANIFEST, Some("v1"));
    assert_eq!(cached.manifest(&tag, 4096).await.unwrap().bytes, MANIFEST);
    store.put_manifest(media_type::OCI_MANIFEST, &b"{}"[..], Some("v1"));
    assert_eq!(cached.manifest(&tag, 4096).await.unwrap().bytes, b"{}");
    assert!(cached.referrers(&first.digest).await.unwrap().entries.is_empty());
    store.put_referrer(&first.digest, Descriptor::of("a/b", b"x"));
    assert_eq!(cached.referrers(&first.digest).await.unwrap().entries.len(), 1);
    let late = Descriptor::of("a/b", b"late");
    assert!(blob(&cached, &late).await.is_err());
    store.put_blob("a/b", &b"late"[..]);
    assert_eq!(blob(&cached, &late).await.unwrap(), b"late");
}

/// Bytes that are not what their digest says are given on for the reader to
/// refuse, and never kept.
#[tokio::test]
async fn wrong_bytes_are_never_kept() {
    let (store, shelf) = (Memory::new("one"), Arc::new(Glass::default()));
    let cached = cached(&store, &shelf);
    let right = store.put_blob("a/b", &b"right"[..]);
    let manifest = store.put_manifest(media_type::OCI_MANIFEST, MANIFEST, None);
    for wrong in ["wrong", "longer than it is", "w", ""] {
        store.put_as(&right.digest, wrong.as_bytes());
        store.put_as(&manifest.digest, wrong.as_bytes());
        assert_eq!(blob(&cached, &right).await.unwrap(), wrong.as_bytes());
        let target = Target::Digest(manifest.digest.clone());
        let given = cached.manifest(&target, 4096).await.unwrap();
        assert_eq!(given.bytes, wrong.as_bytes());
    }
    assert!(shelf.0.lock().unwrap().is_empty());
    store.put_as(&right.digest, &b"right"[..]);
    assert_eq!(blob(&cached, &right).await.unwrap(), b"right");
    assert_eq!(shelf.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_large_is_not_kept() {
    let (store, shelf) = (Memory::new("one"), Arc::new(Glass::default()));
    let cached = cached(&store, &shelf);
    for size in [MOST, MOST + 1] {
        let bytes = vec![b' '; usize::try_from(size).unwrap()];
        let layer = store.put_blob("a/b", bytes.clone());
        assert_eq!(blob(&cached, &layer).await.unwrap().len() as u64, size);
        let manifest = store.put_manifest("a/b", bytes, None);
        let target = Target::Digest(manifest.digest);
        assert_eq!(cached.manifest(&target, 4096).await.unwrap().bytes.len() as u64, size);
    }
    assert_eq!(shelf.0.lock().unwrap().len(), 2, "those of {MOST} bytes");
}

/// The type under which a place gives a manifest is that place's word; it
/// must not speak for another.
#[tokio::test]
async fn a_media_type_is_remembered_for_its_place_alone() {
    let shelf = Arc::new(Glass::default());
    let (good, bad) = (Memory::new("good"), Memory::new("bad"));
    let manifest = good.put_manifest(media_type::OCI_MANIFEST, MANIFEST, None);
    bad.put_manifest("text/html\nx", MANIFEST, None);
    let target = Target::Digest(manifest.digest);
    let given = async |store: &Memory| {
        cached(store, &shelf).manifest(&target, 4096).await.unwrap().media_type.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(given(&bad).await, "text/html\nx");
        assert_eq!(given(&good).await, media_type::OCI_MANIFEST);
    }
}

type Damage = fn(&[u8]) -> Vec<u8>;

/// Whatever a shelf gives back, the answer is the true one: a shelf on a disk
/// may be damaged, and one that others write may lie.
#[tokio::test]
async fn a_shelf_that_lies_changes_no_answer() {
    let (registry, image) = signed_app();
    let pinned = name(&registry, REPOSITORY, &format!("@{}", image.digest));
    let damages: [Damage; 6] = [
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |_| Vec::new(),
        |bytes| [bytes, b" "].concat(),
        |bytes| bytes.iter().map(|byte| byte ^ 1).collect(),
        |bytes| bytes.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect(),
        |bytes| [b"text/html", bytes].concat(),
    ];
    for damage in damages {
        let shelf = Arc::new(Glass::default());
        let settings = || Settings { shelf: Some(shelf.clone()), ..Settings::default() };
        let first = gate_with(engine(&signed_by("ana")), settings());
        assert_eq!(ask(&first, &pinned).await, ALLOWED);
        shelf.damage(damage);
        let second = gate_with(engine(&signed_by("ana")), settings());
        let answer = second.judge(&question(&pinned)).await.unwrap();
        // only the type under which the registry gives it is not in its bytes
        let allowed = answer.verdict().decision == ocisign::Decision::Allow;
        assert!(allowed || answer.verdict().row == ocisign::policy::Row::Integrity);
        assert_eq!(answer.verdict().digest, image.digest);
    }
}

/// What one process kept, another finds: the second gate fetches the list of
/// signatures and nothing else.
#[tokio::test]
async fn a_shelf_that_outlives_the_gate_makes_the_next_one_quick() {
    let (registry, image) = signed_app();
    let shelf: Arc<dyn Shelf> = Arc::new(MemoryShelf::new(1 << 20));
    let pinned = name(&registry, REPOSITORY, &format!("@{}", image.digest));
    let settings = || Settings { shelf: Some(shelf.clone()), ..Settings::default() };
    assert_eq!(ask(&gate_with(engine(&signed_by("ana")), settings()), &pinned).await, ALLOWED);
    let before = registry.requests().len();
    assert_eq!(ask(&gate_with(engine(&signed_by("ana")), settings()), &pinned).await, ALLOWED);
    let asked: Vec<_> = registry.requests()[before..].iter().map(|r| r.target.clone()).collect();
    let live = |target: &String| target.contains("/referrers/") || target.ends_with(".sig");
    assert!(
        asked.iter().all(|target| live(target) || target.contains("/manifests/sha256-")),
        "{asked:?}"
    );
}

#[test]
fn a_shelf_in_memory_is_bounded() {
    let shelf = MemoryShelf::new(64 << 10);
    for number in 0..1000u32 {
        shelf.keep(&Digest::sha256(&number.to_be_bytes()), &[0; 1024]);
    }
    assert!(shelf.weight() <= 64 << 10, "{}", shelf.weight());
    assert!(shelf.weight() > 32 << 10, "{}", shelf.weight());
}
