#![no_main]
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocisign::image::Repository;

static NAMES: LazyLock<Vec<Repository>> = LazyLock::new(|| {
    ["r.example/a/b", "docker.io/library/x"].iter().filter_map(|name| name.parse().ok()).collect()
});

fuzz_target!(|data: &[u8]| {
    for repository in NAMES.iter() {
        ocisign::store::auth::fuzz(data, repository);
    }
});
