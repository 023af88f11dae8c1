//! Secret keys as gpg exports them, and what they sign.

use ocisign::crypto::openpgp::SecretKey;
use ocisign::crypto::{KeyError, Password};

use super::*;

/// Reads a secret key; its password is `test`.
pub(crate) fn secret(name: &str) -> SecretKey {
    SecretKey::parse(&data(name), &mut || Ok(Password::new("test")), &Limits::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Keys and what their public halves are called.
pub(crate) const KEYS: [(&str, &str); 4] = [
    ("solo.sec.asc", "solo.pub.asc"),
    ("rsa.sec.asc", "rsa.pub.asc"),
    // the primary key's secret is not in it; its subkey signs
    ("rsa.sub.asc", "rsa.pub.asc"),
    ("nist.sec.asc", "nist.pub.asc"),
];

#[test]
fn what_is_signed_verifies() {
    let now = at("2026-01-01T00:00:00Z");
    for (key, public) in KEYS {
        let key = secret(key);
        let signature = key.sign_detached(&mut &b"content"[..], now).unwrap();
        assert!(signature.starts_with(b"-----BEGIN PGP SIGNATURE-----\n"));
        let signer = over(&signature, b"content", &keyring(public)).unwrap();
        assert_eq!(signer.created, now);
        assert_eq!(over(&signature, b"content", &key.keyring()).unwrap(), signer);
        let message = key.sign_message(b"content", now).unwrap();
        let message = SignedMessage::parse(&message, &Limits::default()).unwrap();
        assert_eq!(message.verify(&keyring(public)).unwrap().1, b"content");
    }
}

#[test]
fn a_key_signs_only_in_its_time() {
    let before = at("2020-01-01T00:00:00Z");
    let refused = secret("solo.sec.asc").sign_message(b"x", before).unwrap_err();
    assert!(refused.to_string().contains("cannot sign"), "{refused}");
}

#[test]
fn a_password_is_asked_once_and_only_where_it_is_wanted() {
    let parse = |name: &str, given: Option<&str>| {
        let mut asked = 0;
        let read = SecretKey::parse(
            &data(name),
            &mut || {
                asked += 1;
                given.map(Password::new).ok_or_else(|| KeyError::NoPassword("none".to_owned()))
            },
            &Limits::default(),
        );
        (read.map(|_| ()), asked)
    };
    assert!(matches!(parse("solo.sec.asc", Some("test")), (Ok(()), 1)));
    assert!(matches!(parse("solo.sec.asc", Some("wrong")), (Err(KeyError::WrongPassword), 1)));
    assert!(matches!(parse("solo.sec.asc", None), (Err(KeyError::NoPassword(_)), 1)));
    assert!(matches!(parse("rsa.sec.asc", None), (Ok(()), 0)));
}

#[test]
fn what_is_no_secret_key_is_refused() {
    let parse = |bytes: &[u8]| {
        SecretKey::parse(bytes, &mut || panic!("asked for a password"), &Limits::default())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(parse(&data("solo.pub.asc")).contains("not accepted"));
    assert!(parse(&data("solo.pub.gpg")).contains("secret key"));
    assert!(parse(&data("nist.none.asc")).contains("on a card"));
    let two = [data("rsa.sec.asc"), data("nist.sec.asc")].concat();
    assert!(parse(&two).contains("several keys"));
    assert!(parse(&vec![b'x'; 100 << 10]).contains("larger"));
    let shown = format!("{:?}", secret("solo.sec.asc"));
    assert!(shown.contains("secret ..") && shown.len() < 100, "{shown}");
}
