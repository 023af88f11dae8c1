//! Keys by the names that people give on the command line.

use std::ffi::OsString;
use std::fs;

use ocisign::crypto::{KeyAlgorithm, KeyError, KeyRef};
use ocisign::engine::keys::{Error, Secrets, load_public, load_signer, load_verifier};
use ocisign::limits::Limits;

use super::{PASSWORD, keys_test, public, read};

/// An environment of this test's own.
fn variables(name: &str) -> Option<OsString> {
    match name {
        "KEY" => Some(String::from_utf8(read("ecdsa-p256/pkcs8-default.pem")).unwrap().into()),
        "PUB" => Some(String::from_utf8(read("ecdsa-p256/key.pub")).unwrap().into()),
        "COSIGN_PASSWORD" => Some(PASSWORD.into()),
        _ => None,
    }
}

fn file(name: &str) -> KeyRef {
    KeyRef::File(keys_test(name))
}

fn signer_error(reference: &KeyRef) -> Error {
    load_signer(reference, &mut Secrets::new(&variables, None), &Limits::default()).err().unwrap()
}

#[test]
fn a_file_and_a_variable_hold_keys_that_sign() {
    let expected = public(&read("ecdsa-p256/key.pub"));
    for reference in [
        file("ecdsa-p256/key.pem"),
        file("ecdsa-p256/cosign.pem"),
        KeyRef::parse("env://KEY").unwrap(),
    ] {
        let mut secrets = Secrets::new(&variables, None);
        let signer = load_signer(&reference, &mut secrets, &Limits::default()).unwrap();
        assert_eq!(signer.public_key(), &expected, "{reference}");
        assert!(expected.verify(b"m", &signer.sign(b"m").unwrap()).is_ok());
    }
}

#[test]
fn what_verifies_is_a_public_key_and_never_a_private_one() {
    let load = |reference: &KeyRef| {
        load_verifier(reference, &Secrets::new(&variables, None), &Limits::default())
    };
    let expected = public(&read("ecdsa-p256/key.pub"));
    for reference in [file("ecdsa-p256/key.pub"), KeyRef::parse("env://PUB").unwrap()] {
        assert_eq!(load(&reference).unwrap(), expected, "{reference}");
    }
    for reference in [file("ecdsa-p256/key.pem"), KeyRef::parse("env://KEY").unwrap()] {
        let error = load(&reference).unwrap_err();
        assert!(error.to_string().contains("no public key"), "{error}");
    }
}

#[test]
fn a_public_key_is_loaded_from_either_half() {
    for reference in [
        file("ecdsa-p256/key.pub"),
        file("ecdsa-p256/pkcs8-scrypt.pem"),
        file("ecdsa-p256/ecparam-genkey.pem"),
        KeyRef::parse("env://PUB").unwrap(),
    ] {
        let mut secrets = Secrets::new(&variables, None);
        let key = load_public(&reference, &mut secrets, &Limits::default()).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::EcdsaP256, "{reference}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    for (reference, says) in [
        (file("absent.pem"), "absent.pem` cannot be read"),
        (file("ecdsa-p256"), "ecdsa-p256` cannot be read"),
        (KeyRef::parse("env://ABSENT").unwrap(), "the variable `ABSENT` is not set"),
        (file("ecdsa-p256/key.pub"), "private half"),
    ] {
        let said = signer_error(&reference).to_string();
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn without_a_password_an_encrypted_key_is_an_error_and_no_wait() {
    let none = |_: &str| None;
    let mut secrets = Secrets::new(&none, None);
    let reference = file("ecdsa-p256/pkcs8-default.pem");
    let error = load_signer(&reference, &mut secrets, &Limits::default()).err().unwrap();
    assert!(matches!(error, Error::Private { source: KeyError::NoPassword(_), .. }), "{error}");
}

#[test]
fn a_prompt_says_which_key_it_is_for_and_a_wrong_answer_is_not_asked_again() {
    let none = |_: &str| None;
    let mut asked = Vec::new();
    let mut prompt = |text: &str| {
        asked.push(text.to_owned());
        Ok("wrong".to_owned())
    };
    let reference = file("ecdsa-p256/cosign.pem");
    let mut secrets = Secrets::new(&none, Some(&mut prompt));
    let error = load_signer(&reference, &mut secrets, &Limits::default()).err().unwrap();
    assert!(matches!(error, Error::Private { source: KeyError::WrongPassword, .. }), "{error}");
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("cosign.pem"), "{asked:?}");
}

#[test]
fn an_endless_file_is_read_up_to_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.pem");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = signer_error(&KeyRef::File(path));
    assert!(error.to_string().contains("larger than"), "{error}");
}
