//! The whole pipe: open a store, rebuild the tree, discover candidates,
//! verify them, let the policy decide. The only part that waits for IO.

mod aci;
mod attach;
pub mod blob;
mod check;
mod convert;
pub mod copy;
mod discover;
mod docker_v1;
mod error;
mod export;
mod fetch;
mod hashed;
mod inspect;
pub mod keys;
mod layers;
mod load;
mod open;
mod progress;
mod sign;
mod transfer;
mod trusted;
mod whole;

pub use attach::{Entry, Listing, attach, signatures};
pub use check::{Ask, Engine, Soundness, soundness};
pub use convert::{Converted, SOURCE_DIGEST, SOURCE_FORMAT, convert};
pub use error::Error;
pub use export::{Existing, write_export};
pub use fetch::read_tree;
pub use hashed::{Forgetful, Hashed};
pub use inspect::{Inspection, guess_source, inspect};
pub use load::{Shorthand, read_file, render, replace_file, shorthand, starter, write_new};
pub use open::{Access, Image, local_name};
pub use progress::{Progress, Silent};
pub use sign::{Outcome, SignOptions, SigningKey, sign};
pub use transfer::copy_image;
pub use trusted::{
    OfferedKey, TrustScope, TrustedKey, distrust_key, list_keys, offered_keys, same_fingerprint,
    trust_key, trusted_keys,
};

/// Runs `future` to its end on this thread.
///
/// One thread drives all connections; hashing and inflating have threads of
/// their own, started when there is something to hash. A command that needs
/// neither starts none.
///
/// # Errors
/// What the future ends with, or [`Error::Runtime`] where the system gives
/// no event loop.
pub fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?
        .block_on(future)
}
