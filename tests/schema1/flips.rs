//! Changed bytes: every change to what is signed changes the digest or is
//! refused, and nothing else can be changed but the signatures.

use ocisign::envelope::libtrust;
use ocisign::image::schema1::{Frame, payload};
use ocisign::image::{Digest, Document, media_type as mt};
use ocisign::limits::Limits;
use proptest::prelude::*;

use super::vector;

const NAMES: [&str; 3] = ["good-es256", "good-x5c", "good-rs256"];

/// The digest under which the bytes are read, where they are.
fn digest(bytes: &[u8]) -> Option<Digest> {
    let (kind, limits) = (Some(mt::DOCKER_SCHEMA_1_SIGNED), Limits::default());
    let payload = payload(kind, bytes, &limits).ok()?;
    Document::parse(&payload, kind, &limits).ok()?;
    Some(Digest::sha256(&payload))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_byte_is_seen(name in 0..3usize, at: prop::sample::Index, change in 1u8..) {
        let bytes = vector(NAMES[name]);
        let (at, length) = (at.index(bytes.len()), signed_length(&bytes));
        let mut changed = bytes.clone();
        changed[at] ^= change;
        let (before, after) = (digest(&bytes), digest(&changed));
        if at < length {
            prop_assert_ne!(&before, &after);
        }
        // what still has the digest has the same contents
        if before == after {
            let payload = |b: &[u8]| Frame::parse(b, &Limits::default()).unwrap().payload;
            prop_assert_eq!(payload(&bytes), payload(&changed));
        }
    }

    /// A byte in the signatures may only change how they are written.
    #[test]
    fn a_changed_signature_does_not_hold(name in 0..3usize, at: prop::sample::Index, change in 1u8..) {
        let bytes = vector(NAMES[name]);
        let length = signed_length(&bytes);
        let at = length + at.index(bytes.len() - length);
        let mut changed = bytes.clone();
        changed[at] ^= change;
        if let Ok(keys) = libtrust::check(&changed, &Limits::default()) {
            // white space, another name of a member that nobody reads, or the
            // parts of a certificate around its key
            prop_assert_eq!(keys, libtrust::check(&bytes, &Limits::default()).unwrap());
            prop_assert_eq!(digest(&changed), digest(&bytes));
        }
    }

    #[test]
    fn bytes_put_in_behind_what_is_signed_are_refused(text in "[a-z0-9\"{}:,\\[\\]]{1,8}") {
        let bytes = vector(NAMES[0]);
        let length = signed_length(&bytes);
        let put = [&bytes[..length], text.as_bytes(), &bytes[length..]].concat();
        prop_assert_eq!(digest(&put), None);
        let put = [&bytes[..bytes.len() - 1], text.as_bytes(), b"}"].concat();
        prop_assert_eq!(digest(&put), None);
    }
}

fn signed_length(bytes: &[u8]) -> usize {
    Frame::parse(bytes, &Limits::default()).unwrap().payload.len() - 2
}
