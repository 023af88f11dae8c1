//! Archives of `docker save`'s kind, as skopeo writes and reads them.

use super::common::peers;

#[test]
fn an_archive_by_skopeo_goes_by_a_manifest_of_its_own() {
    if !peers(&["skopeo", "umoci"]) {
        return;
    }
    let s = super::sandbox();
    s.write("any.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
    s.peer("umoci", "init --layout img").exits(0);
    s.peer("umoci", "new --image img:v1").exits(0);
    s.peer("umoci", "unpack --rootless --image img:v1 bundle").exits(0);
    for name in ["one", "two"] {
        s.write(&format!("bundle/rootfs/{name}"), name);
        s.peer("umoci", "repack --refresh-bundle --image img:v1 bundle").exits(0);
    }
    let save = |file: &str| {
        let to = format!("docker-archive:{file}:registry.example/app:v1");
        s.peer("skopeo", &format!("--policy any.json copy -q oci:img:v1 {to}")).exits(0);
        s.ocisign(&format!("tree --depth contents docker-archive:{file}")).exits(0).stdout
    };
    assert_eq!(save("one.tar"), save("two.tar"), "the same image has the same name");
    s.ocisign("tree docker-archive:one.tar:registry.example/app:v1").exits(0);
    s.ocisign("tree docker-archive:one.tar:registry.example/app:v2").exits(2);
    s.key("ecdsa-p256/key.pub", "me.pub");
    s.key("ecdsa-p256/key.pem", "me.key");
    s.chmod("me.key", 0o600);
    s.ocisign("sign --key me.key docker-archive:one.tar").exits(0);
    s.ocisign("verify --key me.pub docker-archive:one.tar").exits(0);
    // as a layout it goes by the same digest, and skopeo and umoci read it
    s.ocisign("copy docker-archive:one.tar oci:out:v1").exits(0);
    s.peer("skopeo", "inspect oci:out:v1").exits(0);
    s.peer("umoci", "unpack --rootless --image out:v1 unpacked").exits(0);
    assert_eq!(s.read("unpacked/rootfs/two"), b"two");
}
