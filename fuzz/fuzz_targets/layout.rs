#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::store::{Layout, Store, Target};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::create_dir_all(folder.path().join("blobs/sha256")).expect("a folder in it");
    std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("a file in it");
    folder
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(FOLDER.path().join("index.json"), data).expect("a scratch file");
    let Ok(layout) = Layout::open(FOLDER.path(), Limits::default()) else { return };
    let read = async {
        let targets =
            [Target::Only, Target::Tag("v1".to_owned()), Target::Digest(Digest::sha256(b""))];
        for target in targets {
            let _ = layout.manifest(&target, 1 << 20).await;
        }
        let _ = layout.referrers(&Digest::sha256(b"")).await;
        Ok(())
    };
    let _ = ocisign::block_on(read);
});
