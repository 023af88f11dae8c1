//! Registries that ask who is there: passwords and TLS.

use super::common::peers;
use super::common::registry::Certificates;
use super::common::run::Sandbox;
use super::real::{Real, Setup};

/// Debian's docker-registry with a password and a certificate of our own CA.
fn guarded(s: &Sandbox) -> Real {
    let certificates = Certificates::generate();
    s.write("ca.pem", &certificates.ca);
    let setup = Setup { password: true, tls: Some(&certificates), ..Setup::default() };
    Real::start_with("docker-registry", setup).unwrap()
}

/// FILE: the password of `me` on a registry, as `docker login` writes it.
fn write_login(s: &Sandbox, file: &str, host: &str, password: &str) {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("me:{password}"));
    s.write(file, serde_json::json!({"auths": {host: {"auth": auth}}}).to_string());
}

#[test]
fn a_password_over_tls_opens_the_registry_and_a_wrong_one_decides_nothing() {
    if !peers(&["docker-registry"]) {
        return;
    }
    let mut s = super::sandbox();
    let real = guarded(&s);
    let image = format!("{}/app:v1", real.host);
    write_login(&s, "docker/config.json", &real.host, "secret");
    write_login(&s, "auth.json", &real.host, "secret");
    write_login(&s, "wrong.json", &real.host, "guess");
    write_login(&s, "elsewhere.json", "registry.example", "secret");

    // docker's file, by its variable
    s.ocisign(&format!("copy --ca ca.pem oci:demo:v1 {image}")).exits(2).says("log in to");
    s.set("DOCKER_CONFIG", s.path("docker").to_str().unwrap());
    s.ocisign(&format!("copy --ca ca.pem --no-referrers oci:demo:v1 {image}")).exits(0);
    s.ocisign(&format!("sign --ca ca.pem --key me.key {image}")).exits(0);
    s.ocisign(&format!("verify --ca ca.pem --key me.pub {image}")).exits(0);
    s.unset("DOCKER_CONFIG");

    // podman's file, by the option
    for (file, code) in
        [("auth.json", 0), ("wrong.json", 2), ("elsewhere.json", 2), ("absent.json", 2)]
    {
        let options = format!("--ca ca.pem --auth-file {file}");
        s.ocisign(&format!("verify {options} --key me.pub {image}")).exits(code);
        s.ocisign(&format!("signatures {options} {image}")).exits(code);
        s.ocisign(&format!("copy {options} {image} oci:from-{code}-{file}:v1")).exits(code);
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_decides_nothing() {
    if !peers(&["docker-registry"]) {
        return;
    }
    let s = super::sandbox();
    let real = guarded(&s);
    write_login(&s, "auth.json", &real.host, "secret");
    let image = format!("{}/app:v1", real.host);
    s.write("another-ca.pem", Certificates::generate().ca);
    let copy = format!("copy --auth-file auth.json oci:demo:v1 {image}");
    s.ocisign(&copy).exits(2).says("--ca");
    s.ocisign(&format!("{copy} --ca another-ca.pem")).exits(2).says("certificate");
    s.ocisign(&format!("{copy} --ca absent.pem")).exits(2).says("absent.pem");
    s.ocisign(&format!("{copy} --ca ca.pem")).exits(0);
    let verify = format!("verify --auth-file auth.json --key me.pub {image}");
    s.ocisign(&format!("{verify} --ca another-ca.pem")).exits(2).says("certificate");
}

/// Without any file of credentials, and with one for another registry.
#[test]
fn a_public_registry_needs_no_credentials() {
    if !peers(&["docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    let image = format!("{}/app:v1", real.host);
    super::push_demo(&s, &image);
    s.ocisign(&format!("sign --key me.key {image}")).exits(0);
    write_login(&s, "elsewhere.json", "registry.example", "secret");
    s.ocisign(&format!("verify --auth-file elsewhere.json --key me.pub {image}")).exits(0);
}
