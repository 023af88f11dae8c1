//! The admission webhook: AdmissionReview in, AdmissionReview out.
//!
//! ```text
//! bytes ─► review ─► images of old and new ─► gate ─► answer, patch, warnings
//!          strict     table of places         verdicts
//! ```

mod keychain;
pub mod review;

pub use keychain::{Keychain, PodAccess};
