//! The example of a runtime runs, and does what its page says.

use std::path::Path;

#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/runtime.rs"]
mod runtime;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_a_runtime_runs() {
    let mut out = Vec::new();
    runtime::run(Path::new(env!("CARGO_MANIFEST_DIR")), &mut out).await.unwrap();
    let lines: Vec<_> = std::str::from_utf8(&out).unwrap().lines().collect();
    let digest = "sha256:54d6d2f15fcb7c41b6707b7d1da1550211171b196496391d270bde1c5e2a6b3d";
    assert_eq!(
        lines,
        [
            format!("pulled demo.example/app@{digest}, 607 bytes of manifest").as_str(),
            "may not pull demo.example/other:v1: no rule of `demo` matches demo.example/other; \
             add one",
            "cancelled and asked again: 1 verification",
            "10 questions, 2 verifications, 8 answers shared; 1 refused, 0 undecided",
        ]
    );
}
