//! The pipe put together: what fetches, checks, signs and copies over a store.

pub mod copy;
