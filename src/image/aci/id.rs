//! Image IDs (appc types.md, "Image ID Type").

use std::fmt;

use crate::image::{Algorithm, Digest};

/// Hexadecimal digits of the keys under which rkt's store keeps images: the
/// first half of an image ID.
const TRUNCATED: usize = 64;

/// What a text says about which image is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AciId {
    /// A whole image ID.
    Whole(Digest),
    /// The first 256 bits of one, as rkt's store shows it: good to look for
    /// an image, and too little to pin one.
    Truncated(String),
}

/// Why a text is no image ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no image ID; write sha512- and 128 lower-case hexadecimal digits")]
pub struct AciIdError(String);

impl AciId {
    /// Reads `sha512-` and 128 hexadecimal digits, or 64 of a truncated key.
    ///
    /// # Errors
    /// [`AciIdError`] for everything else, upper case included.
    pub fn parse(text: &str) -> Result<Self, AciIdError> {
        let wrong = || AciIdError(text.chars().take(160).collect());
        let hex = text.strip_prefix("sha512-").ok_or_else(wrong)?;
        if hex.len() == TRUNCATED && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Self::Truncated(hex.to_owned()));
        }
        format!("sha512:{hex}").parse().map(Self::Whole).map_err(|_| wrong())
    }

    /// Whether `digest` is the ID that is meant, as far as this one says.
    pub fn fits(&self, digest: &Digest) -> bool {
        match self {
            Self::Whole(whole) => whole == digest,
            Self::Truncated(hex) => {
                digest.algorithm() == Algorithm::Sha512 && digest.hex().starts_with(hex)
            }
        }
    }

    /// The first 64 digits: the key in rkt's store.
    pub fn key(&self) -> &str {
        match self {
            Self::Whole(digest) => digest.hex().get(..TRUNCATED).unwrap_or_default(),
            Self::Truncated(hex) => hex,
        }
    }
}

impl fmt::Display for AciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(digest) => write!(f, "sha512-{}", digest.hex()),
            Self::Truncated(hex) => write!(f, "sha512-{hex}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lower_case_ids_are_ids() {
        let hex = "0123456789abcdef".repeat(8);
        let whole = AciId::parse(&format!("sha512-{hex}")).unwrap();
        assert_eq!(whole, AciId::Whole(format!("sha512:{hex}").parse().unwrap()));
        assert_eq!(whole.to_string(), format!("sha512-{hex}"));
        let truncated = AciId::parse(&format!("sha512-{}", &hex[..64])).unwrap();
        assert!(matches!(truncated, AciId::Truncated(_)));
        let AciId::Whole(digest) = &whole else { panic!("{whole}") };
        assert!(truncated.fits(digest) && whole.fits(digest));
        assert!(!truncated.fits(&Digest::sha256(b"")));
        for wrong in [
            format!("sha512:{hex}"),
            format!("sha512-{}", hex.to_uppercase()),
            format!("sha512-{}", &hex[..127]),
            format!("sha512-{}", &hex[..63]),
            format!("sha512-{hex}0"),
            format!("sha256-{}", &hex[..64]),
            "sha512-".to_owned(),
            String::new(),
        ] {
            assert!(AciId::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
