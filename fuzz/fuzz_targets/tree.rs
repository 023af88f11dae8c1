#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ocisign::image::{Depth, Root, TreeBuilder};
    // the root, and what every want gets, cut from one input
    let cut = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (root, rest) = data.split_at(cut);
    let rest = rest.get(1..).unwrap_or_default();
    let root = Root { bytes: root.to_vec(), media_type: None, digest: None, size: None };
    let limits = ocisign::limits::Limits::default();
    let mut builder = TreeBuilder::new(root, Depth::Contents, &limits);
    for _ in 0..64 {
        let Some(want) = builder.wants().into_iter().next() else { break };
        match want.read {
            ocisign::image::Read::Document => builder.supply(&want, rest),
            _ => builder.supply_layer(
                ocisign::image::check_reader(&want, rest, &limits).expect("memory reads"),
            ),
        }
    }
    let tree = builder.finish();
    assert!(!tree.shape().nodes.is_empty());
});
