//! The bundles of the Sigstore project's conformance suite: for files, not
//! for images, and most of them keyless. None may count for an image, and
//! each has a stated reason.

use std::path::PathBuf;

use ocisign::crypto::PublicKey;
use ocisign::envelope::Candidate;
use ocisign::evidence::{Reason, Subject};
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;

/// The suite is no part of the repository: `OCISIGN_VECTORS`, else beside it.
fn suite() -> Option<PathBuf> {
    let vectors = std::env::var_os("OCISIGN_VECTORS").map(PathBuf::from);
    let given = vectors.is_some();
    let root = vectors
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"));
    let suite = root.join("sigstore-conformance/bundle-verify");
    assert!(!given || suite.is_dir(), "OCISIGN_VECTORS has no {}", suite.display());
    suite.is_dir().then_some(suite)
}

#[test]
fn no_bundle_of_the_suite_counts_for_an_image() {
    let Some(suite) = suite() else {
        eprintln!("skipped: no conformance suite; set OCISIGN_VECTORS");
        return;
    };
    let limits = Limits::default();
    let subject = Subject { digest: Digest::sha256(b"an image"), size: None, media_type: None };
    let mut seen = 0;
    for entry in std::fs::read_dir(suite).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(folder.join("bundle.sigstore.json")) else { continue };
        let key = std::fs::read(folder.join("key.pub")).ok();
        let keys = key.iter().map(|pem| PublicKey::from_pem(pem, &limits).unwrap());
        let candidate = Candidate::bundle(folder.display().to_string(), bytes);
        let rejection = verify(&candidate, &Trust::new(keys), &subject, &limits).unwrap_err();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let expected = match rejection.reason {
            Reason::Unsupported(_) => true,
            Reason::Malformed(_) => name.ends_with("_fail"),
            _ => false,
        };
        assert!(expected, "{name}: {rejection}");
        seen += 1;
    }
    assert!(seen >= 70, "{seen} bundles");
}
