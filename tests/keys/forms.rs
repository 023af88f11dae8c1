//! Every form of private key in `keys-test`: read, or refused with a reason.

use ocisign::crypto::{KeyAlgorithm, KeyError, KeyFormat, Password, PublicKeyError, Signer};

use super::{ALGORITHMS, GENERATED, open, open_plain, open_with, public, read};

#[test]
fn every_algorithm_is_read_and_its_public_half_is_the_one_beside_it() {
    for (folder, algorithm) in ALGORITHMS {
        let key = open_plain(&read(format!("{folder}/key.pem"))).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.public_key(), &public(&read(format!("{folder}/key.pub"))), "{folder}");
    }
}

#[test]
fn every_algorithm_signs_what_its_public_half_verifies() {
    for (folder, _) in ALGORITHMS {
        let key = open_plain(&read(format!("{folder}/key.pem"))).unwrap();
        let signature = key.sign(b"message").unwrap();
        let public = public(&read(format!("{folder}/key.pub")));
        assert!(public.verify(b"message", &signature).is_ok(), "{folder}");
        assert!(public.verify(b"massage", &signature).is_err(), "{folder}");
    }
}

/// openssl's and cosign's ways of writing the key of `ecdsa-p256/key.pub`.
const SAME_KEY_ENCRYPTED: [&str; 7] = [
    "pkcs8-default",
    "pkcs8-scrypt",
    "pkcs8-aes128-sha1",
    "pkcs8-aes192-sha384",
    "pkcs8-aes256-sha512",
    "cosign",
    "cosign-old-label",
];

#[test]
fn every_encrypted_form_opens_with_its_password_and_with_no_other() {
    let public = public(&read("ecdsa-p256/key.pub"));
    for form in SAME_KEY_ENCRYPTED {
        let pem = read(format!("ecdsa-p256/{form}.pem"));
        assert_eq!(open(&pem).unwrap().public_key(), &public, "{form}");
        for wrong in ["", "ocisign-test ", "Ocisign-test"] {
            assert_eq!(open_with(&pem, wrong).err(), Some(KeyError::WrongPassword), "{form}");
        }
    }
}

#[test]
fn the_older_containers_are_read() {
    for (form, folder) in [("ecdsa-p256/sec1", "ecdsa-p256"), ("rsa-3072/pkcs1", "rsa-3072")] {
        let key = open_plain(&read(format!("{form}.pem"))).unwrap();
        assert_eq!(key.public_key(), &public(&read(format!("{folder}/key.pub"))));
    }
    let key = open_plain(&read("ecdsa-p256/ecparam-genkey.pem")).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::EcdsaP256);
    let key = open(&read("ed25519/genpkey-encrypted.pem")).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::Ed25519);
}

#[test]
fn what_is_written_is_the_same_key() {
    for (folder, _) in ALGORITHMS {
        let key = open_plain(&read(format!("{folder}/key.pem"))).unwrap();
        let plain = key.to_pem(KeyFormat::Pkcs8, None).unwrap();
        assert_eq!(plain.as_bytes(), read(format!("{folder}/key.pem")), "byte for byte: {folder}");
        for format in [KeyFormat::Pkcs8, KeyFormat::Cosign] {
            let pem = key.to_pem(format, Some(&Password::new(super::PASSWORD))).unwrap();
            assert_eq!(open(pem.as_bytes()).unwrap().public_key(), key.public_key());
        }
    }
}

#[test]
fn two_keys_are_never_the_same() {
    for algorithm in GENERATED {
        let make = || ocisign::crypto::PrivateKey::generate(algorithm).unwrap();
        assert_ne!(make().public_key(), make().public_key(), "{algorithm}");
    }
}

#[test]
fn what_is_refused_says_what_to_do() {
    for (form, says) in [
        ("traditional-encryption", "openssl pkcs8 -topk8"),
        ("pkcs8-3des", "openssl pkcs8 -topk8"),
        ("pkcs8-iterations", "10000001 iterations"),
        ("pkcs8-scrypt-memory", "N=16384, r=8, p=20"),
        ("rsa-pss", "plain RSA key"),
        ("rsa-1024", "1024 bits"),
        ("ed448", "Ed25519"),
        ("secp256k1", "P-256"),
        ("explicit-curve", "named_curve"),
        ("openssh", "ssh-keygen -p -m PKCS8"),
        ("public-key", "private half"),
        ("two-keys", "one"),
    ] {
        let refused = open_plain(&read(format!("refused/{form}.pem"))).unwrap_err();
        assert!(refused.to_string().contains(says), "{form}: {refused}");
    }
}

#[test]
fn every_file_in_the_refused_folder_is_refused() {
    for entry in std::fs::read_dir(super::keys_test("refused")).unwrap() {
        let path = entry.unwrap().path();
        assert!(open_plain(&std::fs::read(&path).unwrap()).is_err(), "{}", path.display());
    }
}

#[test]
fn a_short_rsa_key_is_refused_for_its_length() {
    let refused = open_plain(&read("refused/rsa-1024.pem")).unwrap_err();
    assert_eq!(refused, KeyError::Public(PublicKeyError::RsaBits(1024)));
}

#[test]
fn a_file_that_is_too_long_is_refused() {
    let mut text = read("ecdsa-p256/key.pem");
    text.resize(1 << 20, b'\n');
    assert!(matches!(open_plain(&text), Err(KeyError::Pem(_))));
}
