//! What an image is: documents, trees, layers. Each numbered check of the
//! formats has a case that breaks it and nothing else.

mod documents;
mod image;
mod layers;
mod trees;
