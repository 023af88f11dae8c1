//! The frame of a signed schema 1: a JSON web signature spread over the
//! manifest (libtrust, jsonsign.go, "pretty" form).
//!
//! ```text
//! body:    PREFIX  ,"signatures":[…]}          PREFIX has formatLength bytes
//! payload: PREFIX  TAIL                        TAIL is formatTail, mostly "\n}"
//! ```
//!
//! Who reads the payload and who reads the body must see the same manifest,
//! so nothing may follow the prefix in the body but the signatures.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::json::Scan;
use super::super::manifest::DocumentError;
use crate::limits::Limits;

/// Keys with a meaning in the body and in its signatures.
const KEYS: &[&str] = &[
    "schemaVersion",
    "name",
    "tag",
    "architecture",
    "fsLayers",
    "blobSum",
    "history",
    "v1Compatibility",
    "signatures",
    "header",
    "signature",
    "protected",
    "jwk",
    "alg",
    "x5c",
    "kty",
    "crv",
    "kid",
    "formatLength",
    "formatTail",
    "time",
];

/// A signed manifest taken apart. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The manifest that is signed.
    pub payload: Vec<u8>,
    /// The signatures, one at least.
    pub signatures: Vec<Signature>,
}

/// One signature over a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Algorithm and key; not covered by the signature.
    pub header: Header,
    /// The signature.
    pub signature: Vec<u8>,
    /// The protected header as it stands there, in base64.
    pub protected: String,
    /// When it was made, as the protected header says.
    pub time: Option<String>,
}

/// The unprotected header of a signature.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// The algorithm, as RFC 7518 names it.
    pub alg: String,
    /// The key.
    pub jwk: Option<Jwk>,
    /// Certificates in base64, the signer's first.
    pub x5c: Option<Vec<String>>,
}

/// A public key as JSON (RFC 7517), its numbers in base64.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Jwk {
    /// `EC` or `RSA`.
    pub kty: String,
    /// The curve.
    pub crv: Option<String>,
    /// A point.
    pub x: Option<String>,
    /// A point.
    pub y: Option<String>,
    /// An RSA modulus.
    pub n: Option<String>,
    /// An RSA exponent.
    pub e: Option<String>,
    /// Fingerprint that libtrust gives the key.
    pub kid: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    signatures: Vec<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    header: Header,
    signature: String,
    protected: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: u64,
    format_tail: String,
    time: Option<String>,
}

impl Frame {
    /// Takes a signed manifest apart.
    ///
    /// # Errors
    /// [`DocumentError`] for each rule that it breaks.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, DocumentError> {
        if body.len() as u64 > limits.manifest_bytes {
            let max = limits.manifest_bytes;
            return Err(DocumentError::Limit(format!("a manifest has at most {max} bytes")));
        }
        let found: Body = read(body, limits)?;
        if found.signatures.is_empty() {
            return malformed("`signatures` is empty; a signed manifest has one at least");
        }
        if found.signatures.len() > limits.manifest_signatures {
            let max = limits.manifest_signatures;
            return Err(DocumentError::Limit(format!("a manifest has at most {max} signatures")));
        }
        let mut agreed: Option<(u64, Vec<u8>)> = None;
        let mut signatures = Vec::new();
        for raw in found.signatures {
            let protected: Protected = read(&base64("protected", &raw.protected)?, limits)?;
            let format = (protected.format_length, base64("formatTail", &protected.format_tail)?);
            if agreed.get_or_insert_with(|| format.clone()) != &format {
                return malformed("the signatures do not agree on what is signed");
            }
            signatures.push(Signature {
                signature: base64("signature", &raw.signature)?,
                header: raw.header,
                protected: raw.protected,
                time: protected.time,
            });
        }
        let (length, tail) = agreed.unwrap_or_default();
        Ok(Self { payload: payload(body, length, &tail, limits)?, signatures })
    }

    /// The exact bytes over which one of the signatures is made.
    pub fn message(&self, signature: &Signature) -> Vec<u8> {
        let payload = URL_SAFE_NO_PAD.encode(&self.payload);
        [signature.protected.as_bytes(), b".", payload.as_bytes()].concat()
    }
}

fn payload(
    body: &[u8],
    length: u64,
    tail: &[u8],
    limits: &Limits,
) -> Result<Vec<u8>, DocumentError> {
    if tail.len() as u64 > limits.manifest_tail_bytes {
        let max = limits.manifest_tail_bytes;
        return Err(DocumentError::Limit(format!("`formatTail` has at most {max} bytes")));
    }
    let cut = usize::try_from(length).ok().filter(|at| *at > 0 && *at < body.len());
    let Some((prefix, region)) = cut.and_then(|at| body.split_at_checked(at)) else {
        return malformed("`formatLength` is not within the manifest");
    };
    if !is_signatures(region) {
        return Err(DocumentError::Ambiguous(
            "something else than `signatures` follows what is signed; do not use this manifest"
                .to_owned(),
        ));
    }
    Ok([prefix, tail].concat())
}

/// Whether this is `,"signatures":[…]}` with white space between, and no
/// more.
fn is_signatures(region: &[u8]) -> bool {
    let trim = |bytes: &'_ [u8]| -> usize {
        bytes.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count()
    };
    let mut rest = region;
    for part in [b",".as_slice(), b"\"signatures\"", b":"] {
        let Some(after) = rest.strip_prefix(part) else { return false };
        rest = after.get(trim(after)..).unwrap_or_default();
    }
    let Some(array) = rest.strip_suffix(b"}") else { return false };
    // the whole body was scanned: an array it is, and one, or serde says no
    array.starts_with(b"[") && serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(array).is_ok()
}

/// RFC 7515, section 2: no padding, no white space, no second spelling.
fn base64(what: &str, text: &str) -> Result<Vec<u8>, DocumentError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        DocumentError::Malformed(format!("`{what}` is no base64url without padding; sign it anew"))
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, DocumentError> {
    let max_depth = limits.json_depth;
    let scan = Scan { known: KEYS, maps: &[], max_depth, integers_only: true };
    Ok(scan.decode(bytes)?)
}

fn malformed<T>(why: &str) -> Result<T, DocumentError> {
    Err(DocumentError::Malformed(format!("{why}; push the image anew")))
}
