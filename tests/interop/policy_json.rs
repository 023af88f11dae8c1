//! What podman, skopeo and CRI-O decide by their own policy.json. Debian builds
//! them without signatures of this kind, so the peer is the library that they
//! share, with a small main of its own: `.ci/containers-image`.

use super::common::peers;
use super::common::run::{Ran, Sandbox};
use super::push_demo;
use super::real::Real;

#[test]
fn they_admit_what_ocisign_signed() {
    if !peers(&["containers-image", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    let image = format!("{}/app:v1", real.host);
    use_attachments(&s, &real.host);
    push_demo(&s, &image);
    let admit = |policy: &str, image: &str| admission(&s, policy, image);
    for key in ["me", "other"] {
        write_policy(&s, key, "matchRepoDigestOrExact");
    }
    admit("me.json", &image).fails().says("signature");

    // the bundle is not what they read
    s.ocisign(&format!("sign --key me.key {image}")).exits(0);
    admit("me.json", &image).fails();

    // of an index they ask for a signature on each image too
    s.ocisign(&format!("sign --key me.key --format cosign -a env=prod {image}")).exits(0);
    admit("me.json", &image).fails();
    s.ocisign(&format!("sign --key me.key --format cosign -a env=prod --recursive {image}"))
        .exits(0);
    admit("me.json", &image).exits(0);
    admit("other.json", &image).fails();
}

/// The name that is signed has the tag, so another tag is another image.
#[test]
fn they_hold_the_signed_name_against_the_requested_one() {
    if !peers(&["containers-image", "docker-registry"]) {
        return;
    }
    let (real, s) = (Real::start("docker-registry").unwrap(), super::sandbox());
    let (image, other) = (format!("{}/app:v1", real.host), format!("{}/app:v2", real.host));
    use_attachments(&s, &real.host);
    push_demo(&s, &image);
    push_demo(&s, &other);
    s.ocisign(&format!("sign --key me.key --format cosign --recursive {image}")).exits(0);
    for (rule, same, another) in [("matchExact", true, false), ("matchRepository", true, true)] {
        write_policy(&s, "me", rule);
        assert_eq!(admission(&s, "me.json", &image).code == Some(0), same, "{rule}");
        assert_eq!(admission(&s, "me.json", &other).code == Some(0), another, "{rule}");
    }
}

/// A registries.d that makes them look for `.sig` tags.
fn use_attachments(s: &Sandbox, host: &str) {
    let text = format!("docker:\n  {host}:\n    use-sigstore-attachments: true\n");
    s.write("registries.d/test.yaml", text);
}

/// KEY.json: only what KEY.pub signed, and under which name.
fn write_policy(s: &Sandbox, key: &str, identity: &str) {
    let path = s.path(format!("{key}.pub"));
    let require = serde_json::json!([{
        "type": "sigstoreSigned",
        "keyPath": path,
        "signedIdentity": {"type": identity},
    }]);
    let policy = serde_json::json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {"": require}},
    });
    s.write(&format!("{key}.json"), policy.to_string());
}

fn admission(s: &Sandbox, policy: &str, image: &str) -> Ran {
    s.peer("containers-image", &format!("{policy} registries.d {image}"))
}
