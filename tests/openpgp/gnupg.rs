//! gpg verifies what ocisign signs:
//!
//! ```text
//! gpg --batch --import rsa.pub.asc
//! gpg --batch --verify content.asc content
//! gpg --batch --decrypt message
//! ```

use std::process::{Command, Output};

use super::*;

/// gpg with a folder of its own; `None` where it is not installed, which the
/// run with every peer does not allow.
struct Gpg(tempfile::TempDir);

impl Gpg {
    fn new() -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            let required = std::env::var_os("OCISIGN_REQUIRE_PEERS").is_some();
            assert!(!required, "gpg is not installed");
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut gpg = Command::new("gpg");
        gpg.env("GNUPGHOME", self.0.path()).current_dir(self.0.path());
        gpg.args(["--batch", "--no-autostart", "--status-fd", "2"]).args(arguments);
        gpg.output().unwrap()
    }
}

#[test]
fn gpg_verifies_what_is_signed_here() {
    let Some(gpg) = Gpg::new() else { return };
    let folder = gpg.0.path();
    std::fs::write(folder.join("content"), "content").unwrap();
    for (key, public) in signing::KEYS {
        let import = gpg.run(&["--import", path(public).to_str().unwrap()]);
        assert!(import.status.success(), "{import:?}");
        let key = signing::secret(key);
        let now = at("2026-01-01T00:00:00Z");
        let signature = key.sign_detached(&mut &b"content"[..], now).unwrap();
        std::fs::write(folder.join("content.asc"), signature).unwrap();
        let good = gpg.run(&["--verify", "content.asc", "content"]);
        let status = String::from_utf8_lossy(&good.stderr);
        assert!(good.status.success() && status.contains("GOODSIG"), "{status}");
        std::fs::write(folder.join("message"), key.sign_message(b"content", now).unwrap()).unwrap();
        let good = gpg.run(&["--decrypt", "message"]);
        let status = String::from_utf8_lossy(&good.stderr);
        assert!(good.status.success() && status.contains("GOODSIG"), "{status}");
        assert_eq!(good.stdout, b"content");
    }
    std::fs::write(folder.join("content"), "Content").unwrap();
    let bad = gpg.run(&["--verify", "content.asc", "content"]);
    assert!(!bad.status.success());
}
