//! What the fuzz targets reach.

use super::config::RegistriesD;

/// One file of registries.d.
pub fn registries_d(bytes: &[u8]) {
    let _ = RegistriesD::default().add(bytes);
}
