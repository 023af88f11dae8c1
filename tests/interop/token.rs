//! A key that never leaves its token (SoftHSM2), and cosign with the public
//! half that another tool took out of it.

use std::path::Path;

use super::common::peers;
use super::common::run::Sandbox;
use super::push_demo;
use super::real::Real;

const LIBRARIES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

#[test]
fn cosign_verifies_what_a_token_signed() {
    if !peers(&["cosign", "softhsm2-util", "pkcs11-tool", "openssl", "referrers-registry"]) {
        return;
    }
    let library = LIBRARIES.iter().find(|path| Path::new(path).is_file());
    let library = library.expect("softhsm2-util is there, and its library is not");
    let (real, mut s) = (Real::start("referrers-registry").unwrap(), super::sandbox());
    make_token(&mut s);
    s.set("OCISIGN_PKCS11_PIN", "4711");
    for (id, label, kind) in [("01", "p256", "EC:prime256v1"), ("02", "rsa", "rsa:3072")] {
        make_key(&s, library, id, label, kind);
        let image = format!("{}/{label}:v1", real.host);
        push_demo(&s, &image);
        let key = format!("pkcs11:token=ci;object={label}?module-path={library}");
        for (ours, theirs) in [("sigstore", ""), ("cosign", "--new-bundle-format=false")] {
            s.ocisign(&format!("sign --key {key} --format {ours} {image}")).exits(0);
            let verify = format!("verify --insecure-ignore-tlog {theirs} {image}");
            s.peer("cosign", &format!("{verify} --key {label}.pub")).exits(0);
            s.peer("cosign", &format!("{verify} --key other.pub")).fails();
        }
        s.ocisign(&format!("verify --key {label}.pub {image}")).exits(0);
        s.write("app.tar", "a release artifact");
        s.ocisign(&format!("blob sign --key {key} --bundle {label}.json app.tar")).exits(0);
        let verify = format!("verify-blob --insecure-ignore-tlog --bundle {label}.json");
        s.peer("cosign", &format!("{verify} --key {label}.pub app.tar")).exits(0);
        s.peer("cosign", &format!("{verify} --key other.pub app.tar")).fails();
    }
    s.set("OCISIGN_PKCS11_PIN", "0000");
    let key = format!("pkcs11:token=ci;object=p256?module-path={library}");
    s.ocisign(&format!("sign --key {key} oci:demo:v1")).exits(2).says("PIN");
}

fn make_token(s: &mut Sandbox) {
    let (config, tokens) = (s.path("softhsm2.conf"), s.path("tokens"));
    std::fs::create_dir(&tokens).unwrap();
    s.write("softhsm2.conf", format!("directories.tokendir = {}\n", tokens.display()));
    s.set("SOFTHSM2_CONF", config.to_str().unwrap());
    s.peer("softhsm2-util", "--init-token --free --label ci --so-pin 12345678 --pin 4711").exits(0);
}

/// Makes a key pair in the token, and LABEL.pub out of it.
fn make_key(s: &Sandbox, library: &str, id: &str, label: &str, kind: &str) {
    let module = format!("--module {library} --token-label ci --login --pin 4711");
    let key = format!("--keypairgen --key-type {kind} --label {label} --id {id}");
    s.peer("pkcs11-tool", &format!("{module} {key}")).exits(0);
    let out = format!("--read-object --type pubkey --id {id} --output-file {label}.der");
    s.peer("pkcs11-tool", &format!("{module} {out}")).exits(0);
    s.peer("openssl", &format!("pkey -pubin -inform DER -in {label}.der -out {label}.pub"))
        .exits(0);
}
