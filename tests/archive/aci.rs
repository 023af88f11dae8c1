//! An appc image becomes an OCI image: the root file system as one layer,
//! its manifest as a config.

use super::convert::{content, manifest};
use super::*;

use build::aci::{LABELS, aci, document};

fn config(s: &Sandbox, dir: &str) -> serde_json::Value {
    let digest = manifest(s, dir)["config"]["digest"].as_str().unwrap().replace(':', "/");
    serde_json::from_slice(&s.read(format!("{dir}/blobs/{digest}"))).unwrap()
}

#[test]
fn its_layer_has_what_rootfs_had() {
    let s = Sandbox::new();
    s.write("app.aci", aci(&document(LABELS)).finish());
    s.ocisign("convert aci:app.aci oci:new:v1").exits(0).says("made of sha512:");
    s.ocisign("tree --depth contents oci:new:v1").exits(0).says("3 verified");
    let layer = manifest(&s, "new")["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
    let layer = s.read(format!("new/blobs/{layer}"));
    let mut entries = Vec::new();
    for entry in tar::Archive::new(layer.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let link = entry.link_name().unwrap().map(|l| l.display().to_string()).unwrap_or_default();
        let path = entry.path().unwrap().display().to_string();
        let mut content = String::new();
        std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
        entries.push((path, link, content, entry.header().mode().unwrap()));
    }
    let entry = |path: &str, link: &str, content: &str| {
        (path.to_owned(), link.to_owned(), content.to_owned(), 0o644)
    };
    assert_eq!(
        entries,
        [
            entry("etc/", "", ""),
            entry("etc/a", "", "content"),
            entry("etc/b", "../etc/a", ""),
            entry("etc/c", "etc/a", ""),
            entry(&format!("{}/", "d".repeat(90)), "", ""),
        ]
    );
}

#[test]
fn its_config_says_what_the_manifest_said() {
    let s = Sandbox::new();
    let app = r#","app":{"exec":["/bin/app","-v"],"user":"0","group":"0","workingDirectory":"/srv","environment":[{"name":"A","value":"1"}],"mountPoints":[{"name":"data","path":"/data","readOnly":true}],"ports":[{"name":"http","protocol":"tcp","port":80,"count":2}],"eventHandlers":[{"name":"pre-start","exec":["/x"]}]},"annotations":[{"name":"created","value":"2016-01-02T03:04:05Z"},{"name":"homepage","value":"https://example.com"}]"#;
    s.write("app.aci", aci(&document(&format!("{LABELS}{app}"))).finish());
    let ran = s.ocisign("convert aci:app.aci oci:new").exits(0);
    ran.says("no eventHandlers").says("no mountPoints that are read-only");
    let layer = manifest(&s, "new")["layers"][0]["digest"].clone();
    assert_eq!(
        config(&s, "new"),
        serde_json::json!({
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "created": "2016-01-02T03:04:05Z",
            "config": {
                "User": "0:0",
                "Entrypoint": ["/bin/app", "-v"],
                "Env": ["A=1"],
                "WorkingDir": "/srv",
                "Volumes": {"/data": {}},
                "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
            },
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        })
    );
    let annotations = &manifest(&s, "new")["annotations"];
    for (key, value) in [
        ("dev.ocisign.source.format", "appc"),
        ("org.opencontainers.image.title", "example.com/app"),
        ("org.opencontainers.image.version", "1.2"),
        ("org.opencontainers.image.url", "https://example.com"),
    ] {
        assert_eq!(annotations[key], value);
    }
}

#[test]
fn it_is_the_same_image_however_it_was_compressed() {
    let s = Sandbox::new();
    let tar = aci(&document(LABELS)).finish();
    s.write("a.aci", &tar);
    s.write("b.aci", build::gzip(&tar));
    s.ocisign("convert aci:a.aci oci:a").exits(0);
    s.ocisign("convert aci:b.aci oci:b").exits(0);
    assert_eq!(content(&s, "a"), content(&s, "b"));
}

#[test]
fn what_a_layer_cannot_say_is_refused() {
    let s = Sandbox::new();
    let refuse = |tar: Tar, says: &str| {
        s.write("app.aci", tar.finish());
        s.ocisign("convert aci:app.aci oci:new").fails().says(says);
        assert!(!s.path("new").exists());
    };
    refuse(aci(&document("")), "--platform");
    let dependency = r#","dependencies":[{"imageName":"example.com/base"}]"#;
    refuse(aci(&document(&format!("{LABELS}{dependency}"))), "dependencies");
    refuse(aci(&document(&format!(r#"{LABELS},"pathWhitelist":["/etc"]"#))), "pathWhitelist");
    let mut removes = aci(&document(LABELS));
    removes.file("rootfs/.wh.etc", b"");
    refuse(removes, "would remove");
    let ports = r#","app":{"user":"0","group":"0","ports":[{"name":"a","protocol":"tcp","port":1,"count":65535},{"name":"b","protocol":"udp","port":1,"count":65535}]}"#;
    refuse(aci(&document(&format!("{LABELS}{ports}"))), "ports");
    // it is no ACI
    let mut out = aci(&document(LABELS));
    out.file("rootfs/../x", b"");
    refuse(out, "..");
    s.write("app.aci", aci(&document("")).finish());
    s.ocisign("convert --platform linux aci:app.aci oci:new").exits(2).says("OS/ARCH");
    s.ocisign("convert --platform linux/arm/v7 aci:app.aci oci:new").exits(0);
    assert_eq!(config(&s, "new")["variant"], "v7");
}
