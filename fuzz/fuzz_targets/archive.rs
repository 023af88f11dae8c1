#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocisign::limits::Limits;
use ocisign::store::{Archive, Store, Target};

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a scratch folder"));

fuzz_target!(|data: &[u8]| {
    let file = FOLDER.path().join("image.tar");
    std::fs::write(&file, data).expect("a scratch file");
    let Ok(archive) = Archive::open(&file, Limits::default()) else { return };
    let read = async {
        let raw = archive.manifest(&Target::Only, 1 << 20).await?;
        if let Some(claimed) = raw.claimed {
            archive.referrers(&claimed.digest).await?;
            archive.blob(&claimed.digest, claimed.size).await?;
        }
        Ok(())
    };
    let _ = ocisign::block_on(read);
});
