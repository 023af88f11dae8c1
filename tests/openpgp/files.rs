//! Signatures of gpg, by what is true of the key and the signature.

use super::*;

const JANUARY: &str = "2024-01-10T00:00:00Z";

#[test]
fn a_signature_counts_in_every_form_that_gpg_writes() {
    for (signature, ring) in [
        ("solo.asc", "solo.pub.asc"),
        ("solo.asc", "solo.pub.gpg"),
        ("solo.asc", "all.pub.asc"),
        ("solo.sig", "solo.pub.asc"),
        ("rsa.asc", "rsa.pub.asc"),
        ("nist.asc", "nist.pub.asc"),
    ] {
        let signer = detached(signature, ring).unwrap_or_else(|e| panic!("{signature}: {e:?}"));
        assert_eq!(signer.created, at(JANUARY));
        assert_eq!(signer.expires, None);
    }
    for (name, ring) in [("solo.gpg", "solo.pub.asc"), ("rsa.message.asc", "all.pub.asc")] {
        message(name, ring).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    }
}

#[test]
fn a_subkey_signs_for_its_primary_key() {
    let signer = detached("rsa.asc", "rsa.pub.asc").unwrap();
    let ring = keyring("rsa.pub.asc");
    let [certificate] = ring.certificates().collect::<Vec<_>>()[..] else { panic!("one key") };
    assert_eq!(signer.fingerprint, certificate.fingerprint());
    assert_eq!(signer.primary, *certificate.key());
    assert_ne!(signer.key, signer.primary);
    let signer = detached("solo.asc", "solo.pub.asc").unwrap();
    assert_eq!(signer.key, signer.primary);
}

#[test]
fn a_signature_brings_its_own_expiry() {
    let signer = detached("limited.asc", "rsa.pub.asc").unwrap();
    assert_eq!(signer.expires, Some(at("2024-02-09T00:00:00Z")));
}

#[test]
fn a_key_of_the_keyring_must_have_made_it() {
    let stranger = detached("solo.asc", "other.pub.asc");
    let Err(PgpFailure::UnknownKey(Some(hint))) = stranger else { panic!("{stranger:?}") };
    let ring = keyring("solo.pub.asc");
    assert!(ring.only(&hint).is_some(), "{hint} is the fingerprint of who made it");
    assert!(ring.only("00").is_none());
    assert_eq!(over(&data("solo.asc"), b"else", &ring), Err(PgpFailure::Bad));
}

#[test]
fn weak_or_unlike_signatures_do_not_count() {
    let why = unfit(detached("sha1.asc", "rsa.pub.asc"));
    assert!(why.contains("SHA1") && why.contains("SHA-256 or stronger"), "{why}");
    let why = unfit(detached("text.asc", "solo.pub.asc"));
    assert!(why.contains("binary document"), "{why}");
    let why = unfit(detached("notation.asc", "rsa.pub.asc"));
    assert!(why.contains("a notation"), "{why}");
}

#[test]
fn a_key_counts_while_it_lives() {
    detached("expired-january.asc", "expired.pub.asc").unwrap();
    let why = unfit(detached("expired-june.asc", "expired.pub.asc"));
    assert!(why.contains("had expired"), "{why}");
}

#[test]
fn a_lost_key_never_signed_and_a_retired_one_until_it_was() {
    for signature in ["lost-january.asc", "lost-june.asc"] {
        let why = unfit(detached(signature, "lost.pub.asc"));
        assert!(why.contains("revoked"), "{signature}: {why}");
    }
    detached("retired-january.asc", "retired.pub.asc").unwrap();
    let why = unfit(detached("retired-june.asc", "retired.pub.asc"));
    assert!(why.contains("revoked"), "{why}");
}

#[test]
fn a_revocation_that_another_copy_knows_counts() {
    // the key as it was before its revocation: that packet is taken out
    let text = data("lost.pub.asc");
    let mut ring = keyring("solo.pub.asc");
    ring.merge(Keyring::parse(&text, &Limits::default()).unwrap());
    ring.merge(keyring("other.pub.asc"));
    assert_eq!(ring.certificates().count(), 3);
    ring.merge(keyring("solo.pub.gpg"));
    assert_eq!(ring.certificates().count(), 3, "the same key is one key");
    let why = unfit(over(&data("lost-january.asc"), &data("content"), &ring));
    assert!(why.contains("revoked"), "{why}");
}
