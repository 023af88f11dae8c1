//! What a layer's tar may hold: each path once, and no bare `.wh.`
//! (image-spec, layer.md: "MUST NOT contain duplicate paths").
//!
//! It keeps no names, only 16 bytes of a hash for each.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::tar::{Entry, Rules, malformed};
use super::unpack::Fault;

/// The rules of a layer, with the paths that it had so far.
#[derive(Debug)]
pub(in crate::image) struct LayerRules {
    seen: HashSet<[u8; 16]>,
    max: usize,
}

impl LayerRules {
    pub(in crate::image) fn new(max: usize) -> Self {
        Self { seen: HashSet::new(), max }
    }
}

impl Rules for LayerRules {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        let shown = || String::from_utf8_lossy(entry.path).chars().take(120).collect::<String>();
        let clean = clean(entry.path);
        if clean.last() == Some(&b".wh.".as_slice()) {
            return Err(malformed(&format!("`{}` is a whiteout of nothing", shown())));
        }
        if self.seen.len() >= self.max {
            return Err(Fault::Limit(format!("the tar has more than {} entries", self.max)));
        }
        let mut hash = Sha256::new();
        for part in &clean {
            hash.update(part);
            hash.update(b"/");
        }
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        if self.seen.insert(short) {
            return Ok(());
        }
        Err(malformed(&format!("path `{}` stands twice; a layer has each path once", shown())))
    }
}

/// The components of a path as an extractor resolves them.
fn clean(path: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}
