//! Images that containers/image stores as directories, signed by cosign:
//! `manifest.json` and `signature-N`, named by what must come of them. (By GPG:
//! `simple`.)

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use ocisign::crypto::PublicKey;
use ocisign::envelope::Candidate;
use ocisign::evidence::{Evidence, Format, Reason, Rejection, Subject};
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;

/// A stored signature: a zero byte, the name of its form, then the form.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    payload: String,
    annotations: BTreeMap<String, String>,
}

fn candidate(file: &Path) -> Candidate {
    let bytes = std::fs::read(file).unwrap();
    let form = bytes.strip_prefix(b"\0sigstore-json\n").unwrap();
    let stored: Stored = serde_json::from_slice(form).unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(stored.payload).unwrap();
    Candidate::cosign(file.display().to_string(), payload, stored.annotations)
}

fn check(file: &Path, manifest: &Path, key: &Path) -> Result<Evidence, Rejection> {
    let limits = Limits::default();
    let key = PublicKey::from_pem(&std::fs::read(key).unwrap(), &limits).unwrap();
    let digest = Digest::sha256(&std::fs::read(manifest).unwrap());
    let subject = Subject { digest, size: None, media_type: None };
    verify(&candidate(file), &Trust::new([key]), &subject, &limits)
}

#[test]
fn what_cosign_signed_verifies_under_its_key_and_names_its_repository() {
    let Some(root) = super::vectors("containers-image") else { return };
    let image = root.join("dir-img-cosign-valid");
    let evidence =
        check(&image.join("signature-1"), &image.join("manifest.json"), &root.join("cosign.pub"))
            .unwrap();
    let facts = evidence.facts();
    assert_eq!(facts.format, Format::Cosign);
    assert_eq!(facts.claims.name.as_deref(), Some("192.168.64.2:5000/cosign-signed-single-sample"));
}

#[test]
fn another_key_proves_nothing() {
    let Some(root) = super::vectors("containers-image") else { return };
    let image = root.join("dir-img-cosign-valid");
    let (signature, manifest) = (image.join("signature-1"), image.join("manifest.json"));
    let rejection = check(&signature, &manifest, &root.join("cosign2.pub")).unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownKey(None));
    let unknown = root.join("unknown-cosign-key.signature");
    let rejection = check(&unknown, &manifest, &root.join("cosign.pub")).unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownKey(None));
}

#[test]
fn a_signature_of_another_manifest_is_about_another_image() {
    let Some(root) = super::vectors("containers-image") else { return };
    let image = root.join("dir-img-cosign-modified-manifest");
    let rejection =
        check(&image.join("signature-1"), &image.join("manifest.json"), &root.join("cosign.pub"))
            .unwrap_err();
    assert!(matches!(rejection.reason, Reason::WrongSubject(_)), "{rejection}");
}

#[test]
fn a_bad_signature_beside_a_good_one_hides_nothing() {
    let Some(root) = super::vectors("containers-image") else { return };
    let image = root.join("dir-img-cosign-mixed");
    let (manifest, key) = (image.join("manifest.json"), root.join("cosign.pub"));
    let outcomes: Vec<_> = ["signature-1", "signature-2"]
        .iter()
        .map(|name| check(&image.join(name), &manifest, &key).is_ok())
        .collect();
    assert!(outcomes.contains(&true) && outcomes.contains(&false), "{outcomes:?}");
}
