//! The image-verifier plugin of containerd 2.x.
