//! Many images at once: what would this policy deny?
