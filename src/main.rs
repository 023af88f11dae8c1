//! Sign container images, and decide by policy whether they may run.
fn main() {}
