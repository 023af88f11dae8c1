//! A store of signatures beside the registry, on a web server or in a folder,
//! that lies.

use super::common::registry::Lie;
use super::common::run::{Ran, Sandbox, source};
use super::*;

/// The demo image, with a GPG simple signature that no store has yet.
pub(crate) struct Signed {
    pub(crate) scene: Scene,
    pub(crate) sandbox: Sandbox,
    pub(crate) signature: Vec<u8>,
}

impl Signed {
    pub(crate) fn new() -> Self {
        let (scene, sandbox) = (Scene::demo(), Sandbox::new());
        for name in ["nist.sec.asc", "nist.pub.asc"] {
            let key = std::fs::read(source(&format!("tests/data/openpgp/{name}"))).unwrap();
            sandbox.write(name, key);
            sandbox.chmod(name, 0o600);
        }
        let image = image(&scene);
        let sign = format!("sign --format simple --key nist.sec.asc --lookaside sigs {image}");
        sandbox.ocisign(&sign).exits(0);
        let signature = sandbox.read(format!("sigs/{}/signature-1", folder(&scene)));
        Self { scene, sandbox, signature }
    }

    /// The server answers so when it is asked for a number (`*` for any).
    fn answers(&self, number: &str, status: u16, headers: Vec<(&'static str, String)>) -> String {
        let pattern = format!("GET /sigs/{}/signature-{number}", folder(&self.scene));
        self.scene.registry.lie(&pattern, Lie::StatusWith(status, headers));
        pattern
    }

    fn serves(&self, number: &str, body: &[u8]) {
        let pattern = self.answers(number, 200, Vec::new());
        self.scene.registry.lie(&pattern, Lie::Body(body.to_vec()));
    }

    fn verify(&self) -> Ran {
        self.verify_with(&format!("{}/sigs", self.scene.registry.url()))
    }

    fn verify_with(&self, lookaside: &str) -> Ran {
        let (image, began) = (image(&self.scene), Instant::now());
        let verify = format!("verify --keyring nist.pub.asc --lookaside {lookaside} {image}");
        let ran = self.sandbox.ocisign(&verify);
        assert!(began.elapsed() < BOUND, "{ran}");
        ran
    }
}

pub(crate) fn image(scene: &Scene) -> String {
    format!("{}/{REPOSITORY}:v1", scene.registry.host())
}

fn folder(scene: &Scene) -> String {
    format!("{REPOSITORY}@{}", scene.root.digest.to_string().replace(':', "="))
}

#[test]
fn a_good_signature_counts_and_none_is_a_deny() {
    let signed = Signed::new();
    signed.verify().exits(1);
    signed.serves("1", &signed.signature);
    signed.verify().exits(0);
}

#[test]
fn junk_hides_nothing_that_comes_after_it() {
    let signed = Signed::new();
    signed.serves("1", b"junk");
    signed.verify().exits(1).says("no OpenPGP message");
    signed.serves("2", &signed.signature);
    signed.verify().exits(0);
}

#[test]
fn a_changed_signature_counts_for_nothing() {
    let signed = Signed::new();
    let mut bytes = signed.signature.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    signed.serves("1", &bytes);
    signed.verify().exits(1);
}

#[test]
fn a_signature_of_another_image_counts_for_no_other() {
    let (signed, other) = (Signed::new(), Scene::demo());
    let sign = "sign --format simple --key nist.sec.asc --lookaside others";
    // the same bytes under another name
    let elsewhere = format!("{}/{REPOSITORY}:v1", other.registry.host());
    signed.sandbox.ocisign(&format!("{sign} {elsewhere}")).exits(0);
    let bytes = signed.sandbox.read(format!("others/{}/signature-1", folder(&other)));
    signed.serves("1", &bytes);
    signed.verify().exits(0);
    let exact = format!(
        "verify --keyring nist.pub.asc --reference exact --lookaside {}/sigs {}",
        signed.scene.registry.url(),
        image(&signed.scene)
    );
    signed.sandbox.ocisign(&exact).exits(1).says("it was signed as");
}

#[test]
fn what_cannot_be_had_or_counted_hides_nothing() {
    let cut = |signed: &Signed| {
        signed.serves("1", &signed.signature);
        let pattern = format!("GET /sigs/{}/signature-1", folder(&signed.scene));
        signed.scene.registry.lie(&pattern, Lie::Cut(20));
    };
    let endless = |signed: &Signed| {
        let pattern = signed.answers("1", 200, Vec::new());
        signed.scene.registry.lie(&pattern, Lie::Endless);
    };
    let large = |signed: &Signed| {
        let most = Limits::default().simple_bytes as usize;
        signed.serves("1", &vec![0x90; most + 1]);
    };
    let refused = |signed: &Signed| {
        signed.answers("1", 403, Vec::new());
    };
    // alone, and where a good one follows: what cannot count hides nothing,
    // and a server that breaks off or refuses is not asked again
    type Tell<'a> = &'a dyn Fn(&Signed);
    let cases: &[(&str, Tell<'_>, i32, i32)] = &[
        ("cut", &cut, 2, 2),
        ("refused", &refused, 2, 2),
        ("endless", &endless, 1, 0),
        ("large", &large, 1, 0),
    ];
    for (what, lie, alone, followed) in cases {
        let signed = Signed::new();
        lie(&signed);
        let ran = signed.verify();
        assert_eq!(ran.code, Some(*alone), "{what}: {ran}");
        signed.serves("2", &signed.signature);
        let ran = signed.verify();
        assert_eq!(ran.code, Some(*followed), "{what}: {ran}");
    }
}

/// A page for every address, as captive portals have.
#[test]
fn numbers_without_end_are_a_limit() {
    let signed = Signed::new();
    signed.serves("*", b"<html>welcome</html>");
    signed.verify().exits(2).says("more signatures than");
    let most = Limits::default().lookaside_signatures;
    let asked = signed.scene.registry.count("GET /sigs/*");
    assert!(asked <= most + 1, "{asked} of {most}");
}

#[test]
fn nobody_is_sent_a_credential_or_to_another_place() {
    let signed = Signed::new();
    let host = signed.scene.registry.host();
    let realm = format!("Bearer realm=\"http://{host}/token\"");
    signed.answers("1", 401, vec![("WWW-Authenticate", realm)]);
    signed.sandbox.write(
        ".docker/config.json",
        format!(r#"{{"auths":{{"{host}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#),
    );
    signed.verify().exits(2);
    let to_lookaside = signed.scene.registry.requests();
    let to_lookaside = to_lookaside.iter().filter(|request| request.path().starts_with("/sigs"));
    assert!(to_lookaside.map(|request| request.header("authorization")).all(|h| h.is_none()));

    for place in ["file:///etc/passwd", "http://192.0.2.1/signature-1", "ftp://127.0.0.1/x"] {
        let signed = Signed::new();
        signed.answers("1", 302, vec![("Location", place.to_owned())]);
        signed.verify().exits(2);
    }
    // not over plain HTTP but from this machine
    signed.verify_with("http://192.0.2.1/sigs").exits(2).says("https");
}

#[test]
fn a_folder_holds_regular_files_of_a_size() {
    let signed = Signed::new();
    let number = format!("sigs/{}/signature-1", folder(&signed.scene));
    let path = signed.sandbox.path(&number);
    signed.verify_with("sigs").exits(0);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 36).unwrap(); // sparse
    signed.verify_with("sigs").exits(1).says("larger than");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    signed.verify_with("sigs").exits(2).says("regular file");
    std::fs::remove_dir(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    signed.verify_with("sigs").exits(2).says("regular file");
}
