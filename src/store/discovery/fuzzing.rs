//! What the fuzz targets reach.

use super::page;
use crate::image::aci::AciName;

/// A page of meta discovery, and every address that it gives for a name.
pub fn page(bytes: &[u8]) {
    let name: AciName = "example.com/app:1.0,os=linux".parse().expect("a name");
    let found = page::read(bytes, name.name());
    assert!(found.templates.len() + found.keys.len() <= bytes.len());
    for template in &found.templates {
        let Some(filled) = page::endpoint(template, &name) else { continue };
        assert_ne!(filled.image, filled.signature, "one address would be the other's");
        assert!(!filled.image.contains('{'), "every label is filled or the template is dropped");
    }
}
