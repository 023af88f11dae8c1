//! GPG simple signing, as containers/image tests it: signatures named by what
//! is wrong with them, and images as directories of `manifest.json` and
//! `signature-N`.

use std::path::Path;

use ocisign::crypto::openpgp::Keyring;
use ocisign::envelope::simple;
use ocisign::evidence::{Facts, Format, Reason, Signer, Subject};
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;

/// The image that most of the signatures are about.
const IMAGE: &str = "sha256:20bf21ed457b390829cdbeec8795a7bea1626991fda603e0d01b4e7f60427e55";

/// The facts that a signature gives about an image under a keyring.
fn facts(signature: &Path, image: &Digest, keyring: &Path) -> Result<Facts, Reason> {
    let limits = Limits::default();
    let keyring = Keyring::parse(&std::fs::read(keyring).unwrap(), &limits).unwrap();
    let trust = Trust::new([]).with_keyring(keyring);
    let subject = Subject { digest: image.clone(), size: None, media_type: None };
    let candidate = simple::candidate("vector", std::fs::read(signature).unwrap(), &limits)?;
    let evidence = verify(&candidate, &trust, &subject, &limits).map_err(|r| r.reason)?;
    Ok(evidence.facts().clone())
}

/// The word for a reason, of those that these vectors have.
fn word(reason: &Reason) -> &'static str {
    match reason {
        Reason::BadSignature => "bad signature",
        Reason::WrongSubject(_) => "another image",
        Reason::Malformed(_) => "malformed",
        Reason::Unsupported(_) => "unsupported",
        Reason::Unfit(_) => "unfit",
        Reason::UnknownKey(_) => "unknown key",
        _ => "other",
    }
}

#[test]
fn signatures_have_the_outcome_of_their_name() {
    let Some(root) = super::vectors("containers-image") else { return };
    let image: Digest = IMAGE.parse().unwrap();
    let revoked = "public-key-with-revoked-subkey.gpg";
    for (signature, keyring, outcome) in [
        ("image.signature", "public-key.gpg", "testing/manifest"),
        ("image.signature", "public-key-1.gpg", "testing/manifest"),
        ("no-optional-fields.signature", "public-key.gpg", "testing/manifest"),
        ("subkey.signature", "public-key-with-subkey.gpg", "testing/manifest:latest"),
        ("subkey.signature", "public-key.gpg", "unknown key"),
        ("image.signature", "public-key-2.gpg", "unknown key"),
        ("unknown-key.signature", "public-key.gpg", "unknown key"),
        ("corrupt.signature", "public-key.gpg", "malformed"),
        // expired as well, and over no JSON
        ("expired.signature", "public-key.gpg", "malformed"),
        ("subkey-revoked.signature", revoked, "unfit"),
        ("invalid-blob.signature", "public-key.gpg", "malformed"),
        ("invalid-reference.signature", "public-key.gpg", "malformed"),
        ("invalid-cleartext.signature", "public-key.gpg", "malformed"),
        ("unsigned-literal.signature", "public-key.gpg", "unsupported"),
        ("unsigned-encrypted.signature", "public-key.gpg", "unsupported"),
        // OpenPGP's version 3, which the library verifies
        ("subkey.signature-v3", "public-key-with-subkey.gpg", "testing/manifest:latest"),
        ("unknown-key.signature-v3", "public-key.gpg", "unknown key"),
        ("corrupt.signature-v3", "public-key.gpg", "malformed"),
        ("subkey-revoked.signature-v3", revoked, "unfit"),
        ("invalid-blob.signature-v3", "public-key.gpg", "malformed"),
    ] {
        let got = match facts(&root.join(signature), &image, &root.join(keyring)) {
            Ok(facts) => facts.claims.name.unwrap(),
            Err(reason) => word(&reason).to_owned(),
        };
        assert_eq!(got, outcome, "{signature} under {keyring}");
    }
}

#[test]
fn a_subkey_signs_for_its_primary_key() {
    let Some(root) = super::vectors("containers-image") else { return };
    let (signature, keyring) =
        (root.join("subkey.signature"), root.join("public-key-with-subkey.gpg"));
    let facts = facts(&signature, &IMAGE.parse().unwrap(), &keyring).unwrap();
    assert_eq!(facts.format, Format::Simple);
    let Signer::Pgp { key, primary, fingerprint } = facts.signer else { panic!("no OpenPGP key") };
    assert_eq!(fingerprint, "b9f4cdb9fd8c475bfa340ac38d54a947ee396f36");
    assert_ne!(key, primary);
}

#[test]
fn directories_have_the_outcome_of_their_name() {
    let Some(root) = super::vectors("containers-image") else { return };
    let good = "testing/manifest:latest";
    for (image, keyring, outcomes) in [
        ("dir-img-valid", "public-key.gpg", &[good][..]),
        ("dir-img-valid-2", "public-key.gpg", &[good, good]),
        ("dir-img-mixed", "public-key.gpg", &["malformed", good]),
        ("dir-img-valid-subkey", "public-key-with-subkey.gpg", &[good]),
        ("dir-img-modified-manifest", "public-key.gpg", &["another image"]),
        ("dir-img-manifest-digest-error", "public-key.gpg", &["another image"]),
        ("dir-img-unsigned", "public-key.gpg", &[]),
    ] {
        let (image, keyring) = (root.join(image), root.join(keyring));
        let digest = Digest::sha256(&std::fs::read(image.join("manifest.json")).unwrap());
        let signatures = (1..).map(|at| image.join(format!("signature-{at}")));
        let got: Vec<_> = signatures
            .take_while(|path| path.exists())
            .map(|path| match facts(&path, &digest, &keyring) {
                Ok(facts) => facts.claims.name.unwrap(),
                Err(reason) => word(&reason).to_owned(),
            })
            .collect();
        assert_eq!(got, outcomes, "{}", image.display());
    }
}
