//! Bytes that are no keyring, no signature or no message.

use ocisign::crypto::openpgp::OpenPgpError;
use proptest::prelude::*;

use super::*;

fn signatures(bytes: &[u8]) -> Result<Vec<Detached>, OpenPgpError> {
    Detached::parse(bytes, &Limits::default())
}

#[test]
fn every_flipped_byte_of_a_signature_is_noticed() {
    let (whole, content, ring) = (data("solo.sig"), data("content"), keyring("solo.pub.asc"));
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x04;
        let Ok(all) = signatures(&flipped) else { continue };
        for one in &all {
            let Ok(mut hash) = one.begin() else { continue };
            hash.update(&content);
            let holds = hash.verify(&ring).is_ok();
            assert!(!holds || is_unsigned(&whole, at), "byte {at} may be anything");
        }
    }
}

/// Whether nothing hangs on a byte: the key id in the unsigned part, for the
/// fingerprint says it too; the bits of each number of the signature, whose
/// bytes are the same for eight counts of them.
fn is_unsigned(whole: &[u8], at: usize) -> bool {
    let ring = keyring("solo.pub.asc");
    let fingerprint = ring.certificates().next().unwrap().fingerprint().to_owned();
    let id = hex::decode(&fingerprint[24..]).unwrap();
    let begin = whole.windows(8).rposition(|window| window == id).unwrap();
    let numbers = [whole.len() - 68, whole.len() - 34];
    (begin - 1..begin + 8).contains(&at) || numbers.iter().any(|n| (*n..n + 2).contains(&at))
}

#[test]
fn armour_holds_nothing_but_signatures() {
    let good = String::from_utf8(data("solo.asc")).unwrap();
    assert_eq!(signatures((good.clone() + &good).as_bytes()).unwrap().len(), 2);
    assert_eq!(signatures(format!("\n\n{good}\n\n").as_bytes()).unwrap().len(), 1);
    for wrong in [
        String::new(),
        "  \n".to_owned(),
        format!("trust me\n{good}"),
        format!("{good}trust me\n"),
        good.replace("-----END", "-----"),
        good.replacen("PGP SIGNATURE", "PGP MESSAGE", 2),
        good.lines().filter(|line| !line.starts_with('=')).take(3).collect(),
    ] {
        assert!(signatures(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let two = [data("solo.sig"), data("solo.pub.gpg")].concat();
    assert!(matches!(signatures(&two), Err(OpenPgpError::Unsupported(_))));
    assert!(signatures(&data("clear.asc")).is_err());
}

#[test]
fn lengths_that_lie_are_refused() {
    let whole = data("solo.sig");
    for cut in 1..whole.len() {
        assert!(signatures(&whole[..cut]).is_err(), "cut at {cut}");
    }
    // five octets of length, and four gigabytes of nothing
    assert!(signatures(&[0xc2, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    let limits = Limits { envelope_bytes: 10, ..Limits::default() };
    assert!(matches!(Detached::parse(&whole, &limits), Err(OpenPgpError::Limit(_))));
}

#[test]
fn a_message_has_one_signature_and_one_content() {
    let parse = |bytes: &[u8]| SignedMessage::parse(bytes, &Limits::default());
    assert!(matches!(parse(&data("clear.asc")), Err(OpenPgpError::Unsupported(_))));
    assert!(matches!(parse(&data("solo.sig")), Err(OpenPgpError::Unsupported(_))));
    let twice = data("solo.gpg").repeat(2);
    assert!(parse(&twice).is_err());
    // content that nobody signed: a literal packet of one byte
    let bare = [0xcb, 7, b'b', 0, 0, 0, 0, 0, b'x'];
    assert!(matches!(parse(&bare), Err(OpenPgpError::Unsupported(why)) if why.contains("nobody")));
    // compressed within compressed (algorithm 0: not compressed)
    let inner = data("solo.gpg");
    let outer = [&[0xc8, inner.len() as u8 + 1, 0][..], &inner].concat();
    assert!(parse(&outer).is_err());
}

#[test]
fn a_message_inflates_within_a_limit() {
    use std::io::Write as _;
    let mut zip = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    zip.write_all(&vec![0; 20 << 20]).unwrap();
    let body = zip.finish().unwrap();
    let length = (body.len() as u32 + 1).to_be_bytes();
    let bomb = [&[0xc8, 0xff][..], &length, &[1], &body].concat();
    let refused = SignedMessage::parse(&bomb, &Limits::default());
    assert!(matches!(refused, Err(OpenPgpError::Limit(_))), "{refused:?}");
}

#[test]
fn a_keyring_holds_public_keys() {
    let parse = |bytes: &[u8]| Keyring::parse(bytes, &Limits::default()).map(|_| ());
    for secret in ["solo.sec.asc", "rsa.sub.asc"] {
        assert!(parse(&data(secret)).is_err(), "{secret}");
    }
    let refused = parse(b"");
    assert!(matches!(refused, Err(OpenPgpError::Malformed(_))), "{refused:?}");
    assert!(parse(&data("solo.sig")).is_err());
    let small = Limits { keyring_bytes: 100, ..Limits::default() };
    let refused = Keyring::parse(&data("solo.pub.asc"), &small).map(|_| ());
    assert!(matches!(refused, Err(OpenPgpError::Limit(_))));
}

proptest! {
    #[test]
    fn noise_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..800) {
        let limits = Limits::default();
        let mut key = data("solo.pub.gpg");
        let begin = at.min(key.len());
        let end = (begin + bytes.len() / 20).min(key.len());
        key.splice(begin..end, bytes.iter().copied().take(bytes.len() / 20));
        for input in [&bytes, &key] {
            let _ = Keyring::parse(input, &limits);
            let _ = Detached::parse(input, &limits);
            let _ = SignedMessage::parse(input, &limits);
        }
    }
}
