//! What `ocisign convert` makes, read by skopeo and umoci.

use super::common::peers;
use super::common::run::Sandbox;

/// A path that needs an extended header.
fn long() -> String {
    format!("{}/{}", "d".repeat(80), "f".repeat(120))
}

/// A root file system with what a layer can have.
fn rootfs(s: &Sandbox, dir: &str) {
    s.write(&format!("{dir}/etc/motd"), "hello");
    s.write(&format!("{dir}/{}", long()), "far");
    s.write(&format!("{dir}/bin/tool"), "#!/bin/sh\n");
    s.chmod(&format!("{dir}/bin/tool"), 0o4755);
    std::os::unix::fs::symlink("/etc/motd", s.path(format!("{dir}/etc/link"))).unwrap();
    let motd = s.path(format!("{dir}/etc/motd"));
    std::fs::hard_link(motd, s.path(format!("{dir}/etc/hard"))).unwrap();
}

/// What skopeo says of the image and umoci finds in it.
fn read(s: &Sandbox, layout: &str) -> serde_json::Value {
    let unpacked = format!("unpacked-{layout}");
    s.peer("umoci", &format!("unpack --rootless --image {layout}:v1 {unpacked}")).exits(0);
    let at = |name: &str| s.path(format!("{unpacked}/rootfs/{name}"));
    assert_eq!(std::fs::read(at("etc/motd")).unwrap(), b"hello");
    assert_eq!(std::fs::read(at("etc/hard")).unwrap(), b"hello");
    assert_eq!(std::fs::read(at(&long())).unwrap(), b"far");
    assert_eq!(std::fs::read_link(at("etc/link")).unwrap().to_str(), Some("/etc/motd"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(at("bin/tool")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o7777, 0o4755);
    s.write("any.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    let copy = format!("--policy any.json copy -q oci:{layout}:v1 dir:copied-{layout}");
    s.peer("skopeo", &copy).exits(0);
    s.peer("skopeo", &format!("inspect --config oci:{layout}:v1")).exits(0).json()
}

#[test]
fn an_aci_by_actool() {
    if !peers(&["actool", "skopeo", "umoci"]) {
        return;
    }
    let s = Sandbox::new();
    rootfs(&s, "image/rootfs");
    s.write(
        "image/manifest",
        r#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app","labels":[
            {"name":"version","value":"1.0"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],
            "app":{"exec":["/bin/tool"],"user":"0","group":"0"}}"#,
    );
    s.peer("actool", "build image app.aci").exits(0);
    s.ocisign("convert aci:app.aci oci:new:v1").exits(0);
    s.ocisign("tree --depth contents oci:new:v1").exits(0);
    let config = read(&s, "new");
    assert_eq!(config["config"]["Entrypoint"][0], "/bin/tool");
}

/// The tar of a folder, as GNU tar writes it.
fn tar(s: &Sandbox, format: &str, from: &str, to: &str) {
    s.peer("tar", &format!("--format={format} -C {from} -cf {to} .")).exits(0);
}

#[test]
fn an_archive_of_docker_v1_by_tar() {
    if !peers(&["tar", "skopeo", "umoci"]) {
        return;
    }
    for format in ["gnu", "pax"] {
        let s = Sandbox::new();
        let id = "0123456789abcdef".repeat(4);
        rootfs(&s, "rootfs");
        s.write(&format!("save/{id}/VERSION"), "1.0");
        let json = format!(
            r#"{{"id":"{id}","created":"2015-01-02T03:04:05Z","architecture":"amd64","os":"linux","config":{{"Cmd":["/bin/tool"]}}}}"#
        );
        s.write(&format!("save/{id}/json"), json);
        tar(&s, format, "rootfs", &format!("save/{id}/layer.tar"));
        s.write("save/repositories", format!(r#"{{"app":{{"v1":"{id}"}}}}"#));
        tar(&s, format, "save", "old.tar");
        s.ocisign("tree --depth contents docker-archive:old.tar:app:v1").exits(0);
        s.ocisign("convert docker-archive:old.tar:app:v1 oci:new:v1").exits(0);
        s.ocisign("tree --depth contents oci:new:v1").exits(0);
        assert_eq!(read(&s, "new")["config"]["Cmd"][0], "/bin/tool");
    }
}

#[test]
fn an_archive_by_skopeo() {
    if !peers(&["tar", "skopeo", "umoci"]) {
        return;
    }
    let s = super::sandbox();
    s.write("any.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    rootfs(&s, "files");
    s.peer("umoci", "init --layout img").exits(0);
    s.peer("umoci", "new --image img:v1").exits(0);
    s.peer("umoci", "insert --rootless --image img:v1 files /").exits(0);
    let save = "copy -q oci:img:v1 docker-archive:saved.tar:registry.example/app:v1";
    s.peer("skopeo", &format!("--policy any.json {save}")).exits(0);
    s.ocisign("convert docker-archive:saved.tar oci:new:v1").exits(0);
    s.ocisign("tree --depth contents oci:new:v1").exits(0);
    read(&s, "new");
}

/// Twenty years ago and in twenty years, as libfaketime has it.
#[test]
fn two_clocks_make_the_same_bytes() {
    if !peers(&["faketime", "date", "tar", "diff"]) {
        return;
    }
    let s = Sandbox::new();
    let id = "a".repeat(64);
    s.write(&format!("{id}/json"), format!(r#"{{"id":"{id}","os":"linux"}}"#));
    s.write("root/etc/motd", "hello");
    tar(&s, "ustar", "root", &format!("{id}/layer.tar"));
    s.peer("tar", &format!("-cf old.tar {id}")).exits(0);
    let ocisign = env!("CARGO_BIN_EXE_ocisign");
    let years = ["-20y", "+20y"].map(|shift| {
        let convert = format!("convert docker-archive:old.tar oci:at{shift}:v1");
        s.peer("faketime", &format!("-f {shift} {ocisign} {convert}")).exits(0);
        s.peer("faketime", &format!("-f {shift} date +%Y")).exits(0).stdout
    });
    assert_ne!(years[0], years[1], "the clock was not changed");
    s.peer("diff", "-r at-20y at+20y").exits(0);
}
