//! Cosign's encrypted private keys: PKCS#8 in a secretbox whose key scrypt
//! derives from the password, as JSON in PEM.
//!
//! Source: go-securesystemslib `encrypted`, which cosign uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyError, Password, armor};

/// What cosign writes since 2.0.
pub(super) const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// What it wrote before.
pub(super) const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// log2 of the costs that go-securesystemslib has ever written. Others are
/// not its keys, and a large one is an attack.
const COSTS: [u8; 3] = [15, 16, 17];
/// What cosign writes today.
const COST: u8 = 16;
const BLOCK_SIZE: u32 = 8;
const PARALLELISM: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: String,
    nonce: String,
}

/// An envelope whose parameters were checked, so that asking for a password
/// makes sense.
pub(super) struct Sealed {
    log_n: u8,
    salt: [u8; 32],
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// Reads the JSON of the PEM block.
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeyError> {
        let envelope: Envelope = serde_json::from_slice(json).map_err(|e| {
            KeyError::Malformed(format!(
                "its JSON is not that of a cosign key ({e}); export it again"
            ))
        })?;
        refuse_other_ciphers(&envelope)?;
        Ok(Self {
            log_n: cost(&envelope.kdf.params)?,
            salt: field("salt", &envelope.kdf.salt)?,
            nonce: field("nonce", &envelope.cipher.nonce)?,
            ciphertext: decode("ciphertext", &envelope.ciphertext)?,
        })
    }

    /// Gives the PKCS#8 inside. The box is authenticated: what opens is whole.
    pub(super) fn open(&self, password: &Password) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        cipher(password, &self.salt, self.log_n)?
            .decrypt(Nonce::from_slice(&self.nonce), self.ciphertext.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| KeyError::WrongPassword)
    }
}

/// Encrypts PKCS#8 into the PEM that cosign reads.
pub(super) fn seal(pkcs8: &[u8], password: &Password) -> Result<Zeroizing<String>, KeyError> {
    let salt: [u8; 32] = super::random()?;
    let nonce: [u8; 24] = super::random()?;
    let ciphertext = cipher(password, &salt, COST)?
        .encrypt(Nonce::from_slice(&nonce), pkcs8)
        .map_err(|_| KeyError::Failed("the key cannot be encrypted".into()))?;
    let envelope = Envelope {
        kdf: Kdf {
            name: "scrypt".into(),
            params: Params { n: 1 << COST, r: BLOCK_SIZE, p: PARALLELISM },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".into(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(ciphertext),
    };
    let json = serde_json::to_vec(&envelope)
        .map_err(|e| KeyError::Failed(format!("the key cannot be written ({e})")))?;
    Ok(armor::write(LABEL, &json))
}

fn cipher(password: &Password, salt: &[u8], log_n: u8) -> Result<XSalsa20Poly1305, KeyError> {
    let failed = || KeyError::Failed("scrypt refuses its parameters".into());
    let mut key = Zeroizing::new([0; 32]);
    let params =
        scrypt::Params::new(log_n, BLOCK_SIZE, PARALLELISM, key.len()).map_err(|_| failed())?;
    scrypt::scrypt(password.as_bytes(), salt, &params, key.as_mut_slice()).map_err(|_| failed())?;
    Ok(XSalsa20Poly1305::new(Key::from_slice(key.as_slice())))
}

fn refuse_other_ciphers(envelope: &Envelope) -> Result<(), KeyError> {
    let (kdf, cipher) = (&envelope.kdf.name, &envelope.cipher.name);
    if kdf == "scrypt" && cipher == "nacl/secretbox" {
        return Ok(());
    }
    Err(KeyError::Unsupported(format!(
        "the key is encrypted with `{kdf}` and `{cipher}`; cosign uses `scrypt` and \
         `nacl/secretbox`: import it with cosign again"
    )))
}

fn cost(params: &Params) -> Result<u8, KeyError> {
    let known = COSTS.into_iter().find(|log_n| params.n == 1 << log_n);
    match known {
        Some(log_n) if params.r == BLOCK_SIZE && params.p == PARALLELISM => Ok(log_n),
        _ => Err(KeyError::TooExpensive(format!(
            "scrypt with N={}, r={}, p={} is not what cosign writes (N=32768, 65536 or 131072, r=8, p=1)",
            params.n, params.r, params.p
        ))),
    }
}

fn field<const N: usize>(name: &str, text: &str) -> Result<[u8; N], KeyError> {
    decode(name, text)?.try_into().map_err(|v: Vec<u8>| {
        KeyError::Malformed(format!(
            "its `{name}` has {} bytes instead of {N}; export it again",
            v.len()
        ))
    })
}

fn decode(name: &str, text: &str) -> Result<Vec<u8>, KeyError> {
    STANDARD.decode(text).map_err(|e| {
        KeyError::Malformed(format!("its `{name}` is not base64 ({e}); export it again"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn json(edit: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
        let pem = seal(b"secret", &Password::new("pw")).unwrap();
        let body = armor::only_block(pem.as_bytes(), &Limits::default()).unwrap().bytes;
        let mut value = serde_json::from_slice(&body).unwrap();
        edit(&mut value);
        serde_json::to_vec(&value).unwrap()
    }

    #[test]
    fn only_the_right_password_opens() {
        let sealed = Sealed::parse(&json(|_| ())).unwrap();
        assert_eq!(&sealed.open(&Password::new("pw")).unwrap()[..], b"secret");
        assert_eq!(sealed.open(&Password::new("")).unwrap_err(), KeyError::WrongPassword);
    }

    #[test]
    fn costs_that_cosign_never_wrote_are_refused_before_any_work() {
        for (field, value) in [("N", 1_u64 << 30), ("N", 3), ("r", 1024), ("p", 64)] {
            let json = json(|v| v["kdf"]["params"][field] = value.into());
            assert!(
                matches!(Sealed::parse(&json), Err(KeyError::TooExpensive(_))),
                "{field}={value}"
            );
        }
    }

    #[test]
    fn other_ciphers_other_lengths_and_unknown_fields_are_refused() {
        assert!(matches!(
            Sealed::parse(&json(|v| v["kdf"]["name"] = "md5".into())),
            Err(KeyError::Unsupported(_))
        ));
        for json in [
            json(|v| v["cipher"]["nonce"] = "AAAA".into()),
            json(|v| v["kdf"]["salt"] = "!".into()),
            json(|v| v["more"] = 1.into()),
        ] {
            assert!(matches!(Sealed::parse(&json), Err(KeyError::Malformed(_))));
        }
    }
}
