//! OpenPGP: which signatures count, and which do not.
//!
//! The fixtures are gpg's (`tests/data/make-openpgp.sh`); what is signed here
//! is verified by gpg again (`gnupg`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod files;
mod gnupg;
mod hostile;
mod signing;
mod versions;

use std::path::PathBuf;

use jiff::Timestamp;
use ocisign::crypto::openpgp::{Detached, Keyring, PgpFailure, PgpSigner, SignedMessage};
use ocisign::limits::Limits;

/// A file of `tests/data/openpgp`.
fn data(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/openpgp").join(name)
}

fn keyring(name: &str) -> Keyring {
    Keyring::parse(&data(name), &Limits::default()).unwrap()
}

/// What one detached signature over `content` is worth.
fn over(signature: &[u8], content: &[u8], ring: &Keyring) -> Result<PgpSigner, PgpFailure> {
    let all = Detached::parse(signature, &Limits::default()).unwrap();
    let [one] = all.as_slice() else { panic!("{} signatures", all.len()) };
    let mut hash = one.begin()?;
    // in pieces, as a file is read
    content.chunks(5).for_each(|piece| hash.update(piece));
    hash.verify(ring)
}

/// The same of files.
fn detached(signature: &str, ring: &str) -> Result<PgpSigner, PgpFailure> {
    over(&data(signature), &data("content"), &keyring(ring))
}

fn message(name: &str, ring: &str) -> Result<PgpSigner, PgpFailure> {
    let message = SignedMessage::parse(&data(name), &Limits::default()).unwrap();
    message.verify(&keyring(ring)).map(|(signer, content)| {
        assert_eq!(content, data("content"));
        signer
    })
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The text of a failure that judges a key or algorithm.
#[track_caller]
fn unfit(result: Result<PgpSigner, PgpFailure>) -> String {
    match result {
        Err(PgpFailure::Unfit(why)) => why,
        other => panic!("{other:?}"),
    }
}
