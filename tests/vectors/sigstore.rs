//! The bundles of the Sigstore project's conformance suite: for files, not
//! for images, and most of them keyless. None may count for an image, and
//! each has a stated reason.

use ocisign::crypto::PublicKey;
use ocisign::envelope::Candidate;
use ocisign::evidence::{Reason, Subject};
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;

#[test]
fn no_bundle_of_the_suite_counts_for_an_image() {
    let Some(suite) = super::vectors("sigstore-conformance/bundle-verify") else { return };
    let limits = Limits::default();
    let subject = Subject { digest: Digest::sha256(b"an image"), size: None, media_type: None };
    let mut seen = 0;
    for entry in std::fs::read_dir(suite).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(folder.join("bundle.sigstore.json")) else { continue };
        let key = std::fs::read(folder.join("key.pub")).ok();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let keys: Vec<_> =
            key.iter().filter_map(|pem| PublicKey::from_pem(pem, &limits).ok()).collect();
        // the one key that is none belongs to a case that must fail
        assert!(keys.len() == usize::from(key.is_some()) || name.ends_with("_fail"), "{name}");
        let candidate = Candidate::bundle(folder.display().to_string(), bytes);
        let rejection = verify(&candidate, &Trust::new(keys), &subject, &limits).unwrap_err();
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
