//! Private keys: every form that people have them in, read and written, and
//! checked against the tools that own the form: openssl, cosign, SoftHSM.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod cosign;
mod forms;
mod mutated;
mod openssl;
#[cfg(feature = "registry")]
mod references;
#[cfg(all(feature = "pkcs11", feature = "registry"))]
mod tokens;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ocisign::crypto::{KeyAlgorithm, KeyError, Password, PrivateKey, PublicKey};
use ocisign::limits::Limits;

/// The password of everything encrypted in `keys-test`.
const PASSWORD: &str = "ocisign-test";

/// The folders of `keys-test`, and what is in them.
const ALGORITHMS: [(&str, KeyAlgorithm); 6] = [
    ("ecdsa-p256", KeyAlgorithm::EcdsaP256),
    ("ecdsa-p384", KeyAlgorithm::EcdsaP384),
    ("ecdsa-p521", KeyAlgorithm::EcdsaP521),
    ("ed25519", KeyAlgorithm::Ed25519),
    ("rsa-2048", KeyAlgorithm::Rsa { bits: 2048 }),
    ("rsa-3072", KeyAlgorithm::Rsa { bits: 3072 }),
];

/// What `ocisign key generate` makes; RSA-4096 is left out because it is
/// slow, and differs in nothing but its length.
const GENERATED: [KeyAlgorithm; 5] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::EcdsaP521,
    KeyAlgorithm::Ed25519,
    KeyAlgorithm::Rsa { bits: 3072 },
];

fn keys_test(file: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("keys-test").join(file)
}

fn read(file: impl AsRef<Path>) -> Vec<u8> {
    fs::read(keys_test(file)).unwrap()
}

/// Opens a key with the password of `keys-test`.
fn open(pem: &[u8]) -> Result<PrivateKey, KeyError> {
    open_with(pem, PASSWORD)
}

fn open_with(pem: &[u8], password: &str) -> Result<PrivateKey, KeyError> {
    PrivateKey::from_pem(pem, &mut || Ok(Password::new(password)), &Limits::default())
}

/// Opens a key that must not ask for a password.
fn open_plain(pem: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut never = || panic!("asked for a password");
    PrivateKey::from_pem(pem, &mut never, &Limits::default())
}

fn public(pem: &[u8]) -> PublicKey {
    PublicKey::from_pem(pem, &Limits::default()).unwrap()
}

/// Runs a tool; its output where it succeeds, else a failed test that shows
/// what it said.
fn run<S: AsRef<OsStr>>(command: &mut Command, arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    stdout
}
