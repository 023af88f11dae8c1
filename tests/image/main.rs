//! What an image is: documents, trees, layers. Each numbered check of the
//! formats has a case that breaks it and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod documents;
mod image;
mod layers;
mod trees;
