#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocisign::limits::Limits;
use ocisign::store::{DockerArchive, Store, Target};

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a scratch folder"));

fuzz_target!(|data: &[u8]| {
    let file = FOLDER.path().join("image.tar");
    std::fs::write(&file, data).expect("a scratch file");
    let Ok(archive) = DockerArchive::open(&file, Limits::default()) else { return };
    let read = async {
        let first = archive.manifest(&Target::Only, 1 << 20).await?;
        let again = archive.manifest(&Target::Only, 1 << 20).await?;
        assert_eq!(first.bytes, again.bytes);
        Ok(())
    };
    let _ = ocisign::block_on(read);
});
