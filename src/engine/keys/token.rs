//! Keys in tokens: which library, which PIN.

use crate::crypto::{KeyError, Pkcs11Uri, PublicKey, Signer};

use super::{Error, Secrets};

#[cfg(feature = "pkcs11")]
pub(super) fn signer(uri: &Pkcs11Uri, secrets: &mut Secrets<'_>) -> Result<Box<dyn Signer>, Error> {
    let place = uri.to_string();
    let uri = with_module(uri, secrets);
    crate::crypto::Pkcs11Key::open(&uri, &mut || pin(&uri, secrets, &place))
        .map(|key| -> Box<dyn Signer> { Box::new(key) })
        .map_err(|source| Error::Private { place, source })
}

#[cfg(feature = "pkcs11")]
pub(super) fn public(uri: &Pkcs11Uri, secrets: &Secrets<'_>) -> Result<PublicKey, Error> {
    crate::crypto::Pkcs11Key::public(&with_module(uri, secrets))
        .map_err(|source| Error::Private { place: uri.to_string(), source })
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn signer(uri: &Pkcs11Uri, _: &mut Secrets<'_>) -> Result<Box<dyn Signer>, Error> {
    Err(left_out(uri))
}

#[cfg(not(feature = "pkcs11"))]
pub(super) fn public(uri: &Pkcs11Uri, _: &Secrets<'_>) -> Result<PublicKey, Error> {
    Err(left_out(uri))
}

#[cfg(not(feature = "pkcs11"))]
fn left_out(uri: &Pkcs11Uri) -> Error {
    let source = KeyError::Unsupported(
        "this ocisign was built without tokens; build it with the feature `pkcs11`".into(),
    );
    Error::Private { place: uri.to_string(), source }
}

/// Names the library for URIs without `module-path`: ocisign's own variable,
/// then cosign's.
#[cfg(feature = "pkcs11")]
const MODULE_VARIABLES: [&str; 2] = ["OCISIGN_PKCS11_MODULE_PATH", "COSIGN_PKCS11_MODULE_PATH"];

#[cfg(feature = "pkcs11")]
fn with_module(uri: &Pkcs11Uri, secrets: &Secrets<'_>) -> Pkcs11Uri {
    let mut uri = uri.clone();
    if uri.module_path.is_none() {
        let named = MODULE_VARIABLES.iter().find_map(|name| secrets.variable(name));
        uri.module_path = named.map(Into::into);
    }
    uri
}

#[cfg(feature = "pkcs11")]
fn pin(
    uri: &Pkcs11Uri,
    secrets: &mut Secrets<'_>,
    place: &str,
) -> Result<crate::crypto::Password, KeyError> {
    use crate::crypto::{Password, PinSource};
    let missing = |what: String| {
        KeyError::NoPassword(format!("{what}; put the PIN there, or leave `pin-source` out"))
    };
    match &uri.pin_source {
        Some(PinSource::Env(name)) => secrets
            .variable(name)
            .map(|value| Password::new(value.into_encoded_bytes()))
            .ok_or_else(|| missing(format!("the variable `{name}` is not set"))),
        Some(PinSource::File(path)) => {
            let text = super::read_file(path, super::secrets::MAX_SECRET_BYTES)
                .map_err(|error| missing(error.to_string()))?;
            Ok(Password::new(first_line(&text)))
        }
        None => secrets.token_pin(place),
    }
}

/// A file that an editor made ends with a line break, which is no part of
/// the PIN.
#[cfg(feature = "pkcs11")]
fn first_line(text: &[u8]) -> &[u8] {
    text.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default()
}
