//! The PEM block of a private key file.

use zeroize::Zeroizing;

use super::KeyError;
use crate::crypto::pem::{self, Block, PemError};
use crate::limits::Limits;

/// What `openssl ecparam -genkey` writes in front of the key. The key says
/// its curve itself, so it is passed over.
const PARAMETERS: &str = "EC PARAMETERS";

/// The only block of a key file.
pub(super) fn only_block(text: &[u8], limits: &Limits) -> Result<Block, KeyError> {
    let mut blocks = pem::blocks(text, limits.key_bytes)?;
    blocks.retain(|block| block.label != PARAMETERS);
    let block = blocks.pop().ok_or(PemError::None)?;
    if blocks.is_empty() { Ok(block) } else { Err(PemError::Several.into()) }
}

/// Writes one block.
pub(super) fn write(label: &str, body: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(pem::encode(label, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN A-----\naGVsbG8=\n-----END A-----\n";
    const PARAMS: &str = "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n";

    fn label(text: &str) -> Result<String, KeyError> {
        only_block(text.as_bytes(), &Limits::default()).map(|block| block.label)
    }

    #[test]
    fn the_parameters_in_front_of_an_ec_key_are_passed_over() {
        assert_eq!(label(&format!("{PARAMS}{KEY}")), Ok("A".into()));
    }

    #[test]
    fn none_and_several_are_refused() {
        assert_eq!(label(""), Err(PemError::None.into()));
        assert_eq!(label(PARAMS), Err(PemError::None.into()));
        assert_eq!(label(&format!("{KEY}{KEY}")), Err(PemError::Several.into()));
    }
}
