//! Checking one signature with one key.

use aws_lc_rs::{digest, signature as lc};
use ed25519_dalek::Digest as _;
use ring::signature as ring;

use super::{MessageHashes, PublicKey, Scheme};

/// The signature does not hold. There is no detail, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

impl PublicKey {
    /// Checks `signature` over `message`, under each scheme that such a key
    /// may use, and says which one held.
    ///
    /// ECDSA signatures are ASN.1 DER (RFC 3279, section 2.2.3), strictly;
    /// a high S is accepted, as every peer does. RSA and Ed25519 signatures
    /// are the raw bytes.
    ///
    /// # Errors
    /// [`InvalidSignature`] where none of them holds.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<Scheme, InvalidSignature> {
        self.algorithm()
            .schemes()
            .iter()
            .copied()
            .find(|scheme| holds(*scheme, self.key_bytes(), message, signature))
            .ok_or(InvalidSignature)
    }
}

impl PublicKey {
    /// As [`PublicKey::verify`], over a message that was hashed before. A
    /// scheme whose hash is not known does not hold, nor does Ed25519 over
    /// the message itself.
    ///
    /// # Errors
    /// [`InvalidSignature`] where none of them holds.
    pub fn verify_hashes(
        &self,
        hashes: &MessageHashes,
        signature: &[u8],
    ) -> Result<Scheme, InvalidSignature> {
        self.algorithm()
            .schemes()
            .iter()
            .copied()
            .find(|scheme| holds_over_hash(*scheme, self.key_bytes(), hashes, signature).is_some())
            .ok_or(InvalidSignature)
    }
}

fn holds_over_hash(
    scheme: Scheme,
    key: &[u8],
    hashes: &MessageHashes,
    signature: &[u8],
) -> Option<()> {
    let sha512 = || hashes.sha512.clone().map(|hash| hash.finalize().to_vec());
    let by_lc = |algorithm: &'static dyn lc::VerificationAlgorithm,
                 hash: Option<Vec<u8>>,
                 function: &'static digest::Algorithm| {
        let digest = digest::Digest::import_less_safe(&hash?, function).ok()?;
        lc::UnparsedPublicKey::new(algorithm, key).verify_digest(&digest, signature).ok()
    };
    match scheme {
        Scheme::EcdsaP256Sha256 => {
            by_lc(&lc::ECDSA_P256_SHA256_ASN1, hashes.sha256.clone(), &digest::SHA256)
        }
        Scheme::EcdsaP384Sha256 => {
            by_lc(&lc::ECDSA_P384_SHA256_ASN1, hashes.sha256.clone(), &digest::SHA256)
        }
        Scheme::EcdsaP384Sha384 => {
            by_lc(&lc::ECDSA_P384_SHA384_ASN1, hashes.sha384.clone(), &digest::SHA384)
        }
        Scheme::EcdsaP521Sha256 => {
            by_lc(&lc::ECDSA_P521_SHA256_ASN1, hashes.sha256.clone(), &digest::SHA256)
        }
        Scheme::EcdsaP521Sha512 => by_lc(&lc::ECDSA_P521_SHA512_ASN1, sha512(), &digest::SHA512),
        Scheme::RsaPkcs1Sha256 => {
            by_lc(&lc::RSA_PKCS1_2048_8192_SHA256, hashes.sha256.clone(), &digest::SHA256)
        }
        Scheme::Ed25519 => None,
        Scheme::Ed25519ph => ed25519ph(key, hashes.sha512.clone()?, signature),
    }
}

/// `key` is the point, the 32 bytes of Ed25519, or PKCS#1 DER.
fn holds(scheme: Scheme, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let by_ring = |algorithm: &'static dyn ring::VerificationAlgorithm| {
        ring::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    };
    let by_lc = |algorithm: &'static dyn lc::VerificationAlgorithm| {
        lc::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    };
    match scheme {
        Scheme::EcdsaP256Sha256 => by_ring(&ring::ECDSA_P256_SHA256_ASN1),
        Scheme::EcdsaP384Sha256 => by_lc(&lc::ECDSA_P384_SHA256_ASN1),
        Scheme::EcdsaP384Sha384 => by_lc(&lc::ECDSA_P384_SHA384_ASN1),
        Scheme::EcdsaP521Sha256 => by_lc(&lc::ECDSA_P521_SHA256_ASN1),
        Scheme::EcdsaP521Sha512 => by_lc(&lc::ECDSA_P521_SHA512_ASN1),
        Scheme::Ed25519 => by_ring(&ring::ED25519),
        Scheme::Ed25519ph => {
            let hash = ed25519_dalek::Sha512::new_with_prefix(message);
            ed25519ph(key, hash, signature).is_some()
        }
        Scheme::RsaPkcs1Sha256 => by_ring(&ring::RSA_PKCS1_2048_8192_SHA256),
    }
}

/// RFC 8032, section 5.1, with PH = SHA-512 and the empty context.
fn ed25519ph(key: &[u8], hash: ed25519_dalek::Sha512, signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::try_from(key).ok()?;
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    key.verify_prehashed_strict(hash, None, &signature).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Curve;
    use ed25519_dalek::Signer as _;
    use p256::elliptic_curve::sec1::ToEncodedPoint as _;
    use pkcs8::der::Encode as _;
    use pkcs8::der::asn1::{Int, SequenceOf, Uint};
    use proptest::prelude::*;

    const MESSAGE: &[u8] = b"a message";

    /// A signature of a fixed P-256 key over [`MESSAGE`], as r and s.
    fn signed(seed: u8) -> (PublicKey, [u8; 32], [u8; 32]) {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap();
        let point = key.verifying_key().to_encoded_point(false);
        let signature: p256::ecdsa::Signature = key.sign(MESSAGE);
        let (r, s) = signature.split_bytes();
        (PublicKey::from_sec1(Curve::P256, point.as_bytes()).unwrap(), r.into(), s.into())
    }

    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let mut sequence = SequenceOf::<Uint, 2>::new();
        sequence.add(Uint::new(r).unwrap()).unwrap();
        sequence.add(Uint::new(s).unwrap()).unwrap();
        sequence.to_der().unwrap()
    }

    /// The order of the group, from which s is taken away for the other s.
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

    fn minus(a: &[u8], b: &[u8; 32]) -> Vec<u8> {
        let mut out = a.to_vec();
        let mut borrow = 0i16;
        for at in (0..32).rev() {
            let digit = i16::from(a[at]) - i16::from(b[at]) - borrow;
            borrow = i16::from(digit < 0);
            out[at] = u8::try_from(digit.rem_euclid(256)).unwrap();
        }
        out
    }

    #[test]
    fn both_values_of_s_are_accepted_as_every_peer_does() {
        let (key, r, s) = signed(7);
        let other = minus(&hex::decode(ORDER).unwrap(), &s);
        assert_eq!(key.verify(MESSAGE, &der(&r, &s)), Ok(Scheme::EcdsaP256Sha256));
        assert_eq!(key.verify(MESSAGE, &der(&r, &other)), Ok(Scheme::EcdsaP256Sha256));
    }

    #[test]
    fn values_outside_of_their_range_are_invalid() {
        let (key, r, s) = signed(7);
        let order = hex::decode(ORDER).unwrap();
        for (r, s) in [
            (&[0][..], &s[..]),
            (&r[..], &[0][..]),
            (&[0], &[0]),
            (&[1], &[1]),
            (&order, &s),
            (&r, &order),
            (&[0xff; 32], &[0xff; 32]),
            (&[0xff; 64], &s),
            (&s, &r),
        ] {
            assert_eq!(key.verify(MESSAGE, &der(r, s)), Err(InvalidSignature));
        }
        let mut negative = SequenceOf::<Int, 2>::new();
        negative.add(Int::new(&[0xff, 1]).unwrap()).unwrap();
        negative.add(Int::new(&[0xff, 1]).unwrap()).unwrap();
        assert_eq!(key.verify(MESSAGE, &negative.to_der().unwrap()), Err(InvalidSignature));
    }

    /// Every encoding of one signature but the one that DER allows.
    #[test]
    fn ecdsa_signatures_are_der_strictly() {
        let (key, r, s) = signed(7);
        let good = der(&r, &s);
        let body = &good[2..];
        let length = u8::try_from(body.len()).unwrap();
        let raw = [r, s].concat();
        let integer = |n: &[u8; 32], pad: usize| {
            let zeros = pad + usize::from(n[0] >= 0x80);
            let content = [vec![0; zeros], n.to_vec()].concat();
            [vec![2, u8::try_from(content.len()).unwrap()], content].concat()
        };
        let padded = [integer(&r, 1), integer(&s, 0)].concat();
        let padded = [vec![0x30, u8::try_from(padded.len()).unwrap()], padded].concat();
        for (what, bytes) in [
            ("raw r and s", raw),
            ("trailing byte", [&good[..], &[0]].concat()),
            ("trailing byte inside", [&[0x30, length + 1][..], body, &[0]].concat()),
            ("long form of the length", [&[0x30, 0x81, length][..], body].concat()),
            ("indefinite length", [&[0x30, 0x80][..], body, &[0, 0]].concat()),
            ("a set", [&[0x31, length][..], body].concat()),
            ("leading zero", padded),
            ("three numbers", [&[0x30, length + 3][..], body, &[2, 1, 1]].concat()),
            ("nothing", Vec::new()),
            ("empty sequence", vec![0x30, 0]),
        ] {
            assert_eq!(key.verify(MESSAGE, &bytes), Err(InvalidSignature), "{what}");
        }
        assert!(key.verify(MESSAGE, &good).is_ok());
    }

    #[test]
    fn ed25519_is_read_pure_and_prehashed_and_s_is_in_range() {
        let pair = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey::from_ed25519(pair.verifying_key().as_bytes()).unwrap();
        let pure = pair.sign(MESSAGE).to_bytes();
        assert_eq!(key.verify(MESSAGE, &pure), Ok(Scheme::Ed25519));
        let hash = || ed25519_dalek::Sha512::new_with_prefix(MESSAGE);
        let prehashed = pair.sign_prehashed(hash(), None).unwrap().to_bytes();
        assert_eq!(key.verify(MESSAGE, &prehashed), Ok(Scheme::Ed25519ph));
        let context = pair.sign_prehashed(hash(), Some(b"x")).unwrap().to_bytes();
        assert_eq!(key.verify(MESSAGE, &context), Err(InvalidSignature));
        for good in [pure, prehashed] {
            assert_eq!(key.verify(MESSAGE, &plus_order(good)), Err(InvalidSignature));
        }
    }

    /// S + L, which a lax verifier takes for S.
    fn plus_order(mut signature: [u8; 64]) -> [u8; 64] {
        let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let mut carry = 0u16;
        for (digit, more) in signature[32..].iter_mut().zip(hex::decode(order).unwrap()) {
            carry += u16::from(*digit) + u16::from(more);
            *digit = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        signature
    }

    /// Keys for which anybody can make signatures, and a second spelling.
    #[test]
    fn weak_and_doubly_written_ed25519_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        // The y coordinates 2^255 - 19 to 2^255 - 1 stand for 0 to 18 as well.
        let unreduced = (0..19u8).map(|small| {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (0xed + small, 0x7f);
            key
        });
        let points = |key: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(key).is_ok();
        assert!(unreduced.clone().any(|key| points(&key)), "or this test shows nothing");
        for key in unreduced.chain([identity, [0; 32]]) {
            assert!(PublicKey::from_ed25519(&key).is_err(), "{key:?}");
        }
        assert!(PublicKey::from_ed25519(&[7; 31]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_point_is_one_key_compressed_or_not(seed in 1u8..=255) {
            macro_rules! same {
                ($curve:ident, $kind:expr, $len:literal) => {
                    let mut scalar = [seed; $len];
                    scalar[0] = 0; // below the order
                    let key = $curve::SecretKey::from_slice(&scalar).unwrap().public_key();
                    let read = |compress| {
                        PublicKey::from_sec1($kind, key.to_encoded_point(compress).as_bytes())
                    };
                    let (short, long) = (read(true).unwrap(), read(false).unwrap());
                    prop_assert_eq!(short.id(), long.id());
                    let again = PublicKey::from_spki_der(long.to_spki_der()).unwrap();
                    prop_assert_eq!(&again, &short);
                    prop_assert_eq!(super::super::KeyId::from_hint(&short.hint()), Some(again.id()));
                };
            }
            same!(p256, Curve::P256, 32);
            same!(p384, Curve::P384, 48);
            same!(p521, Curve::P521, 66);
        }

        /// Any odd modulus of a good length is one key in both encodings.
        #[test]
        fn rsa_is_one_key_as_pkcs1_or_spki(fill in any::<u8>(), bytes in 256usize..=1024) {
            let mut modulus = vec![fill | 1; bytes];
            modulus[0] |= 0x80;
            let pkcs1 = rsa::pkcs1::RsaPublicKey {
                modulus: pkcs8::der::asn1::UintRef::new(&modulus).unwrap(),
                public_exponent: pkcs8::der::asn1::UintRef::new(&[1, 0, 1]).unwrap(),
            };
            let key = PublicKey::from_pkcs1_der(&pkcs1.to_der().unwrap()).unwrap();
            let again = PublicKey::from_spki_der(key.to_spki_der()).unwrap();
            prop_assert_eq!(again.id(), key.id());
        }

        #[test]
        fn any_signature_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
            let (key, _, _) = signed(9);
            prop_assert_eq!(key.verify(MESSAGE, &bytes), Err(InvalidSignature));
        }
    }
}
