//! Converting: the same source is always the same OCI image, and says what
//! it was made of.

use super::*;

/// The one manifest of a layout, its digest recomputed.
pub(crate) fn manifest(s: &Sandbox, dir: &str) -> serde_json::Value {
    let index: serde_json::Value =
        serde_json::from_slice(&s.read(format!("{dir}/index.json"))).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1, "{index}");
    let digest = manifests[0]["digest"].as_str().unwrap();
    let bytes = s.read(format!("{dir}/blobs/{}", digest.replace(':', "/")));
    assert_eq!(digest, format!("sha256:{}", sha256(&bytes)));
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn an_archive_of_docker_v1_becomes_an_image() {
    let s = Sandbox::new();
    let file = build::v1::named().finish();
    s.write("old.tar", &file);
    let ran = s.ocisign("convert docker-archive:old.tar:app:v1 oci:new:v1").exits(0);
    let ran = ran.says(&format!("made of sha256:{}", sha256(&file)));
    let digest = ran.stdout.lines().next().unwrap().to_owned();
    s.ocisign("tree --depth contents oci:new:v1").exits(0).says(&digest).says("4 verified");
    let made = manifest(&s, "new");
    let annotations = &made["annotations"];
    assert_eq!(annotations["dev.ocisign.source.format"], "docker-v1");
    assert_eq!(annotations["dev.ocisign.source.digest"], format!("sha256:{}", sha256(&file)));
    let layers: Vec<_> =
        build::layers().iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    assert_eq!(made["layers"][0]["digest"], layers[0]);
    assert_eq!(made["layers"][1]["digest"], layers[1]);
    let config = made["config"]["digest"].as_str().unwrap().replace(':', "/");
    let config: serde_json::Value =
        serde_json::from_slice(&s.read(format!("new/blobs/{config}"))).unwrap();
    assert_eq!(
        config,
        serde_json::json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "2015-06-01T00:00:00Z",
            "container_config": {"Cmd": ["/bin/sh", "-c", "true"]},
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": layers},
            "history": [
                {"created": "2015-06-01T00:00:00Z", "created_by": "/bin/sh -c true"},
                {"created": "2015-06-01T00:00:00Z", "created_by": "/bin/sh -c true"},
            ],
        })
    );
}

#[test]
fn the_first_dockers_architecture_is_said_as_go_says_it() {
    let s = Sandbox::new();
    let (mut tar, id) = (Tar::default(), build::v1::id('a'));
    let json = build::v1::json(&id, None).replace("amd64", "x86_64");
    build::v1::image(&mut tar, &id, &json, &build::layers()[0]);
    s.write("old.tar", tar.finish());
    s.ocisign("convert docker-archive:old.tar oci:new").exits(0);
    let config = manifest(&s, "new")["config"]["digest"].as_str().unwrap().replace(':', "/");
    let config: serde_json::Value =
        serde_json::from_slice(&s.read(format!("new/blobs/{config}"))).unwrap();
    assert_eq!(config["architecture"], "amd64");
}

#[test]
fn of_a_path_its_content_says_what_it_is() {
    let s = Sandbox::new();
    s.write("app.aci", build::aci::aci(&build::aci::document(build::aci::LABELS)).finish());
    s.write("old.tar", build::v1::named().finish());
    s.write("new.tar", build::docker().finish());
    for (path, kind) in
        [("app.aci", "aci"), ("old.tar", "docker-archive"), ("new.tar", "docker-archive")]
    {
        s.ocisign(&format!("convert {path} oci:{path}-1")).exits(0);
        s.ocisign(&format!("convert {kind}:{path} oci:{path}-2")).exits(0);
        assert_eq!(content(&s, &format!("{path}-1")), content(&s, &format!("{path}-2")));
    }
    s.write("noise", "no archive");
    s.ocisign("convert noise oci:new").exits(2).says("name its kind");
    s.ocisign("convert absent oci:new").exits(2);
}

#[test]
fn what_is_made_is_signed_and_gated_as_any_other() {
    let s = Sandbox::new();
    s.write("old.tar", build::v1::named().finish());
    s.key("ecdsa-p256/key.pem", "me.key");
    s.key("ecdsa-p256/key.pub", "me.pub");
    s.ocisign("convert docker-archive:old.tar oci:new").exits(0);
    s.ocisign("verify --key me.pub oci:new").exits(1).says("no signature counts");
    s.ocisign("sign --key me.key oci:new").exits(0);
    s.ocisign("verify --key me.pub oci:new").exits(0);
}

#[test]
fn an_archive_with_a_manifest_keeps_config_and_layers() {
    let s = Sandbox::new();
    let file = build::docker().finish();
    s.write("image.tar", &file);
    s.ocisign("convert docker-archive:image.tar oci:new").exits(0);
    let made = manifest(&s, "new");
    let expected: serde_json::Value = serde_json::from_str(&build::own_manifest()).unwrap();
    for key in ["schemaVersion", "mediaType", "config", "layers"] {
        assert_eq!(made[key], expected[key], "{key}");
    }
    assert_eq!(
        made["annotations"]["dev.ocisign.source.digest"],
        format!("sha256:{}", sha256(&file))
    );
    s.ocisign("tree --depth contents oci:new").exits(0);
}

/// Every file of a layout with its content, in one text.
pub(crate) fn content(s: &Sandbox, dir: &str) -> String {
    let mut files: Vec<_> = walk(&s.path(dir)).collect();
    files.sort();
    let mut all = String::new();
    for path in files {
        let name = path.strip_prefix(s.path(dir)).unwrap().display().to_string();
        all.push_str(&format!("{name} {}\n", sha256(&std::fs::read(&path).unwrap())));
    }
    all
}

fn walk(dir: &std::path::Path) -> Box<dyn Iterator<Item = std::path::PathBuf>> {
    Box::new(std::fs::read_dir(dir).unwrap().map(Result::unwrap).flat_map(
        |entry| match entry.path() {
            path if path.is_dir() => walk(&path),
            path => Box::new(std::iter::once(path)),
        },
    ))
}

#[test]
fn it_is_the_same_bytes_in_every_time_zone_locale_and_folder() {
    let mut s = Sandbox::new();
    s.write("old.tar", build::v1::named().finish());
    s.write("image.tar", build::docker().finish());
    for (file, dir) in [("old.tar", "old"), ("image.tar", "image")] {
        s.ocisign(&format!("convert docker-archive:{file} oci:{dir}-1:v1")).exits(0);
        for (name, value) in [
            ("TZ", "Asia/Kathmandu"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("SOURCE_DATE_EPOCH", "1"),
            ("TMPDIR", "/dev/shm"),
        ] {
            s.set(name, value);
        }
        s.ocisign(&format!("convert docker-archive:{file} oci:{dir}-2:v1")).exits(0);
        assert_eq!(content(&s, &format!("{dir}-1")), content(&s, &format!("{dir}-2")));
    }
}

#[test]
fn nothing_is_made_where_something_stands_or_of_what_is_not_sound() {
    let s = Sandbox::new();
    s.write("old.tar", build::v1::named().finish());
    s.write("there/file", "");
    s.write("empty/x", "");
    std::fs::remove_file(s.path("empty/x")).unwrap();
    for dir in ["there", "empty", "old.tar"] {
        s.ocisign(&format!("convert docker-archive:old.tar oci:{dir}")).exits(2).says("exists");
    }
    s.ocisign("convert docker-archive:old.tar:app:v2 oci:new").exits(2).says("`app:v2`");
    s.ocisign("convert oci:there oci:new").exits(2).says("ocisign copy");
    s.ocisign("convert docker-archive:old.tar oci-archive:new.tar").exits(2).says("oci:DIR");
    let mut bytes = build::docker().finish();
    let at = bytes.windows(5).position(|window| window == b"amd64").unwrap();
    bytes[at] = b'A';
    s.write("changed.tar", &bytes);
    s.ocisign("convert docker-archive:changed.tar oci:new")
        .exits(1)
        .says("not what its digests say");
    s.write("cut.tar", &build::v1::named().finish()[..4000]);
    s.ocisign("convert docker-archive:cut.tar oci:new").fails();
    assert!(!s.path("new").exists());
    // nor is anything left behind
    let left: Vec<_> = std::fs::read_dir(s.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".ocisign-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn one_image_of_several_is_named() {
    let s = Sandbox::new();
    let mut two = build::v1::images();
    let (a, b) = (build::v1::id('a'), build::v1::id('b'));
    let names = format!(r#"{{"app":{{"base":"{a}","v1":"{b}"}}}}"#);
    two.file("repositories", names.as_bytes());
    s.write("old.tar", two.finish());
    let ran = s.ocisign("convert docker-archive:old.tar oci:new").exits(2);
    ran.says("several images").says("`app:base`, `app:v1`");
    s.ocisign("convert docker-archive:old.tar:app:base oci:new").exits(0);
    s.ocisign("tree --depth contents oci:new").exits(0).says("3 verified");
}
