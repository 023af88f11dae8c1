//! Keys in a token of the real SoftHSM2, made by the real pkcs11-tool.
//!
//! One test: the library is initialised once per process, from a variable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::peer;
use super::run;

#[path = "token_child.rs"]
mod child;

const LIBRARIES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// The tests of `token_child.rs` run in a process of their own, whose
/// SOFTHSM2_CONF points at a token made here: SoftHSM reads it once, and a
/// test must not change the environment of its neighbours.
#[test]
fn keys_in_a_token_sign() {
    let (Some(util), Some(tool)) = (peer("softhsm2-util"), peer("pkcs11-tool")) else { return };
    let library = LIBRARIES.iter().map(Path::new).find(|path| path.is_file());
    let library = library.expect("softhsm2-util is there, and its library is not");
    let folder = tempfile::tempdir().unwrap();
    let config = make_token(&util, folder.path());
    fill_token(&tool, library, &config);

    let this = std::env::current_exe().unwrap();
    let child = Command::new(this)
        .args(["tokens::child::", "--include-ignored", "--test-threads=1"])
        .env("SOFTHSM2_CONF", &config)
        .env("OCISIGN_TEST_LIBRARY", library)
        .env("OCISIGN_TEST_FOLDER", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("7 passed"), "the tests ran: {said}");
}

/// Two tokens, so that the URI has to choose.
fn make_token(util: &Path, folder: &Path) -> PathBuf {
    let config = folder.join("softhsm2.conf");
    let tokens = folder.join("tokens");
    fs::create_dir(&tokens).unwrap();
    fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    for label in ["ocisign test", "another"] {
        let mut command = Command::new(util);
        command.env("SOFTHSM2_CONF", &config);
        let so_pin = ["--so-pin", "12345678", "--pin", child::PIN];
        run(command.args(["--init-token", "--free", "--label", label]), so_pin);
    }
    config
}

/// One key pair per algorithm, each with its label and id; one private key
/// that has no public object but a certificate; two keys of one label.
fn fill_token(tool: &Path, library: &Path, config: &Path) {
    let pkcs11_tool = |arguments: &[&str]| {
        let mut command = Command::new(tool);
        command.env("SOFTHSM2_CONF", config).arg("--module").arg(library);
        command.args(["--token-label", "ocisign test", "--login", "--pin", child::PIN]);
        run(&mut command, arguments);
    };
    for (label, id, kind) in [
        ("p256", "01", "EC:prime256v1"),
        ("p384", "02", "EC:secp384r1"),
        ("p521", "03", "EC:secp521r1"),
        ("rsa", "04", "rsa:3072"),
        ("ed25519", "05", "EC:edwards25519"),
        ("twice", "06", "EC:prime256v1"),
        ("twice", "07", "EC:prime256v1"),
        ("certified", "08", "EC:prime256v1"),
        ("bare", "09", "EC:prime256v1"),
    ] {
        pkcs11_tool(&["--keypairgen", "--key-type", kind, "--label", label, "--id", id]);
    }
    for id in ["08", "09"] {
        let public = config.with_file_name(format!("{id}.der"));
        let public = public.to_str().unwrap();
        pkcs11_tool(&["--read-object", "--type", "pubkey", "--id", id, "--output-file", public]);
        pkcs11_tool(&["--delete-object", "--type", "pubkey", "--id", id]);
    }
    let certificate = config.with_file_name("08.crt");
    child::certify(&config.with_file_name("08.der"), &certificate);
    let certificate = certificate.to_str().unwrap();
    pkcs11_tool(&[
        "--write-object",
        certificate,
        "--type",
        "cert",
        "--id",
        "08",
        "--label",
        "certified",
    ]);
}
