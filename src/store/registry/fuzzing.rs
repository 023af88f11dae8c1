//! The parsers of what a registry's headers and lists say, for fuzz/ alone.

use super::answer::Document;
use super::index::ReferrersIndex;
use super::{blob, challenge, link, retry};

/// Reads one header as each kind of header that is parsed.
pub fn header(text: &str) {
    let one = || std::iter::once(text);
    let challenges = challenge::parse(one());
    assert!(challenges.len() <= text.len());
    for challenge in &challenges {
        let _ = challenge.param("realm");
    }
    assert!(link::next(one()).is_none_or(|target| text.contains(&target)));
    let _ = retry::retry_after(text, jiff::Timestamp::UNIX_EPOCH);
    let _ = blob::content_range(text);
}

/// Reads a list of referrers; what it becomes by merging is read again.
pub fn referrers(bytes: &[u8], media_type: Option<&str>) {
    let document = |bytes: Vec<u8>| Document {
        bytes,
        media_type: media_type.map(str::to_owned),
        links: Vec::new(),
    };
    let Ok(mut index) = ReferrersIndex::read(&document(bytes.to_vec())) else { return };
    let (found, unread) = index.descriptors();
    assert_eq!(found.len() + unread, index.manifests.len());
    let entries = index.manifests.clone();
    assert!(!index.merge(&entries), "nothing of it is missing");
    assert!(ReferrersIndex::read(&document(index.to_bytes())).is_ok(), "what we write we read");
}
