//! Copying images between stores.
