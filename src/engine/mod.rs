//! What ties the parts together, with IO.

pub mod keys;
