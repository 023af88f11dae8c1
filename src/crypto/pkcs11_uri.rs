//! `pkcs11:` URIs (RFC 7512), read strictly. Naming a key in a token needs no
//! token, so this part is always there.

use std::path::{Path, PathBuf};

/// Which key in which token.
///
/// Supported attributes: `token`, `manufacturer`, `serial`, `model`,
/// `slot-id`, `object`, `id`, `type` (only `private`) in the path;
/// `module-path` and `pin-source` in the query. Every other one is refused
/// rather than ignored: an attribute that narrows the choice and is ignored
/// would select another key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pkcs11Uri {
    /// `token`: the token's label.
    pub token: Option<String>,
    /// `manufacturer` of the token.
    pub manufacturer: Option<String>,
    /// `serial` number of the token.
    pub serial: Option<String>,
    /// `model` of the token.
    pub model: Option<String>,
    /// `slot-id`: the slot's number.
    pub slot_id: Option<u64>,
    /// `object`: the key's label (CKA_LABEL).
    pub object: Option<String>,
    /// `id`: the key's identifier (CKA_ID), any bytes.
    pub id: Option<Vec<u8>>,
    /// `module-path`: the PKCS#11 library.
    pub module_path: Option<PathBuf>,
    /// `pin-source`: where the PIN is.
    pub pin_source: Option<PinSource>,
}

/// Where a PIN is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinSource {
    /// `env:NAME`: a variable of the environment (an extension; RFC 7512
    /// leaves the value open).
    Env(String),
    /// `file:/path` or `/path`: the first line of a file.
    File(PathBuf),
}

/// Why a text is no usable `pkcs11:` URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs11UriError {
    /// Another scheme.
    #[error("a token's URI begins with `pkcs11:`")]
    Scheme,
    /// Not `name=value`.
    #[error("`{0}` is not `name=value`; write `pkcs11:token=LABEL;object=LABEL`")]
    NoValue(String),
    /// An attribute twice.
    #[error("`{0}` is given twice; give it once")]
    Twice(String),
    /// An attribute that is not supported, or not known.
    #[error(
        "`{0}` is not supported; use token, manufacturer, serial, model, slot-id, object, id, \
         module-path or pin-source"
    )]
    Attribute(String),
    /// A secret in an argument.
    #[error(
        "`pin-value` puts a secret where others can read it; use `pin-source=env:NAME`, \
         `pin-source=file:/PATH` or the prompt"
    )]
    PinValue,
    /// A value that its attribute cannot have.
    #[error("`{value}` is not a {name}; {expected}")]
    Value {
        /// The attribute.
        name: &'static str,
        /// What was given.
        value: String,
        /// What to give.
        expected: &'static str,
    },
    /// A character that must be percent-encoded, or bad percent-encoding.
    #[error("`{0}` has characters that RFC 7512 does not allow as they are; write them as %XX")]
    Encoding(String),
    /// Neither `object` nor `id`.
    #[error("the URI does not say which key; add `object=LABEL` or `id=%XX`")]
    NoObject,
}

impl Pkcs11Uri {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`Pkcs11UriError`] for everything that RFC 7512 does not allow, and
    /// for attributes that are not supported.
    pub fn parse(text: &str) -> Result<Self, Pkcs11UriError> {
        let rest = strip_scheme(text).ok_or(Pkcs11UriError::Scheme)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let mut uri = Self::default();
        for attribute in path.split(';').filter(|_| !path.is_empty()) {
            uri.path_attribute(attribute)?;
        }
        for attribute in query.into_iter().flat_map(|query| query.split('&')) {
            uri.query_attribute(attribute)?;
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(Pkcs11UriError::NoObject);
        }
        Ok(uri)
    }

    /// The library that the URI names.
    pub fn module_path(&self) -> Option<&Path> {
        self.module_path.as_deref()
    }

    fn path_attribute(&mut self, attribute: &str) -> Result<(), Pkcs11UriError> {
        let (name, value) = name_value(attribute)?;
        let bytes = decode(value, b":[]@!$'()*+,=&")?;
        match name {
            "token" => once(name, &mut self.token, text(bytes)?),
            "manufacturer" => once(name, &mut self.manufacturer, text(bytes)?),
            "serial" => once(name, &mut self.serial, text(bytes)?),
            "model" => once(name, &mut self.model, text(bytes)?),
            "object" => once(name, &mut self.object, text(bytes)?),
            "id" => once(name, &mut self.id, bytes),
            "slot-id" => once(name, &mut self.slot_id, slot_id(value)?),
            "type" => only_private(&text(bytes)?),
            _ => Err(Pkcs11UriError::Attribute(name.into())),
        }
    }

    fn query_attribute(&mut self, attribute: &str) -> Result<(), Pkcs11UriError> {
        let (name, value) = name_value(attribute)?;
        if name == "pin-value" {
            return Err(Pkcs11UriError::PinValue);
        }
        let value = text(decode(value, b":[]@!$'()*+,=/?|")?)?;
        match name {
            "module-path" => once(name, &mut self.module_path, absolute(value)?),
            "pin-source" => once(name, &mut self.pin_source, pin_source(value)?),
            _ => Err(Pkcs11UriError::Attribute(name.into())),
        }
    }
}

/// For messages: what selects the key, without the query.
impl std::fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.id.as_deref().map(hex::encode);
        let slot = self.slot_id.map(|id| id.to_string());
        let parts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("slot-id", &slot),
            ("object", &self.object),
            ("id", &id),
        ];
        let given = parts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        f.write_str("pkcs11:")?;
        for (at, (name, value)) in given.enumerate() {
            write!(f, "{}{name}={}", if at == 0 { "" } else { ";" }, value.escape_debug())?;
        }
        Ok(())
    }
}

/// Schemes are case-insensitive (RFC 3986, section 3.1).
fn strip_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "pkcs11:";
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

fn name_value(attribute: &str) -> Result<(&str, &str), Pkcs11UriError> {
    let (name, value) =
        attribute.split_once('=').ok_or_else(|| Pkcs11UriError::NoValue(attribute.into()))?;
    // An empty `id` or `object` would match keys without one.
    if value.is_empty() {
        return Err(Pkcs11UriError::NoValue(attribute.into()));
    }
    Ok((name, value))
}

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), Pkcs11UriError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Pkcs11UriError::Twice(name.into())),
    }
}

/// RFC 7512, section 2.3: unreserved characters, `available` ones, or %XX.
fn decode(value: &str, available: &[u8]) -> Result<Vec<u8>, Pkcs11UriError> {
    let bad = || Pkcs11UriError::Encoding(value.into());
    let mut bytes = value.bytes();
    let mut decoded = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => match (bytes.next().and_then(nibble), bytes.next().and_then(nibble)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(bad()),
            },
            b'-' | b'.' | b'_' | b'~' => byte,
            _ if byte.is_ascii_alphanumeric() || available.contains(&byte) => byte,
            _ => return Err(bad()),
        });
    }
    Ok(decoded)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Text attributes are UTF-8; NUL would end them early in a C library.
fn text(bytes: Vec<u8>) -> Result<String, Pkcs11UriError> {
    let lossy = |bytes: &[u8]| Pkcs11UriError::Encoding(String::from_utf8_lossy(bytes).into());
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(text) => Err(lossy(text.as_bytes())),
        Err(error) => Err(lossy(error.as_bytes())),
    }
}

fn slot_id(value: &str) -> Result<u64, Pkcs11UriError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or_else(|| Pkcs11UriError::Value {
        name: "slot-id",
        value: value.into(),
        expected: "give a decimal number",
    })
}

fn only_private(value: &str) -> Result<(), Pkcs11UriError> {
    if value == "private" {
        return Ok(());
    }
    Err(Pkcs11UriError::Value {
        name: "type",
        value: value.into(),
        expected: "signing needs `private`; leave it out",
    })
}

/// A bare name would be looked up along the loader's path, which the
/// environment decides.
fn absolute(value: String) -> Result<PathBuf, Pkcs11UriError> {
    if value.starts_with('/') {
        return Ok(value.into());
    }
    Err(Pkcs11UriError::Value {
        name: "module-path",
        value,
        expected: "give the absolute path of the library",
    })
}

fn pin_source(value: String) -> Result<PinSource, Pkcs11UriError> {
    if let Some(name) = value.strip_prefix("env:").filter(|name| is_variable(name)) {
        return Ok(PinSource::Env(name.into()));
    }
    let path = value.strip_prefix("file:").unwrap_or(&value);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.starts_with('/') {
        return Ok(PinSource::File(path.into()));
    }
    Err(Pkcs11UriError::Value {
        name: "pin-source",
        value,
        expected: "give `env:NAME` or `file:/PATH` (commands are not run)",
    })
}

/// Whether a variable of that name can exist.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Pkcs11Uri, Pkcs11UriError> {
        Pkcs11Uri::parse(text)
    }

    #[test]
    fn every_supported_attribute_is_read() {
        let uri = parse(
            "pkcs11:token=My%20token;manufacturer=A%3bB;serial=01;model=m;slot-id=7;object=k;\
             id=%01%ff;type=private?module-path=/usr/lib/x.so&pin-source=file:/etc/pin",
        );
        assert_eq!(
            uri.unwrap(),
            Pkcs11Uri {
                token: Some("My token".into()),
                manufacturer: Some("A;B".into()),
                serial: Some("01".into()),
                model: Some("m".into()),
                slot_id: Some(7),
                object: Some("k".into()),
                id: Some(vec![1, 255]),
                module_path: Some("/usr/lib/x.so".into()),
                pin_source: Some(PinSource::File("/etc/pin".into())),
            }
        );
    }

    #[test]
    fn a_pin_may_be_in_a_file_or_a_variable() {
        let source =
            |text| parse(&format!("pkcs11:object=k?pin-source={text}")).map(|u| u.pin_source);
        assert_eq!(source("env:PIN"), Ok(Some(PinSource::Env("PIN".into()))));
        for text in ["/run/pin", "file:/run/pin", "file:///run/pin"] {
            assert_eq!(source(text), Ok(Some(PinSource::File("/run/pin".into()))), "{text}");
        }
        for text in ["%7Ccat%20/run/pin", "pin", "env:", "env:A%3dB", "file://host/pin"] {
            let read = source(text);
            assert!(matches!(read, Err(Pkcs11UriError::Value { .. })), "{text}: {read:?}");
        }
    }

    #[test]
    fn a_pin_in_the_uri_is_refused_and_not_repeated() {
        let error = parse("pkcs11:object=k?pin-value=1234").unwrap_err();
        assert!(!error.to_string().contains("1234"), "{error}");
    }

    #[test]
    fn what_could_select_another_key_is_refused() {
        for (text, want) in [
            ("http:object=k", Pkcs11UriError::Scheme),
            ("pkcs11:", Pkcs11UriError::NoObject),
            ("pkcs11:token=t", Pkcs11UriError::NoObject),
            ("pkcs11:object", Pkcs11UriError::NoValue("object".into())),
            ("pkcs11:object=", Pkcs11UriError::NoValue("object=".into())),
            ("pkcs11:object=k;", Pkcs11UriError::NoValue(String::new())),
            ("pkcs11:object=a;object=b", Pkcs11UriError::Twice("object".into())),
            (
                "pkcs11:object=k;slot-description=s",
                Pkcs11UriError::Attribute("slot-description".into()),
            ),
            ("pkcs11:object=k;x-new=1", Pkcs11UriError::Attribute("x-new".into())),
            ("pkcs11:object=k?object=k", Pkcs11UriError::Attribute("object".into())),
            ("pkcs11:object=k?module-name=opensc", Pkcs11UriError::Attribute("module-name".into())),
            ("pkcs11:object=a b", Pkcs11UriError::Encoding("a b".into())),
            ("pkcs11:object=a/b", Pkcs11UriError::Encoding("a/b".into())),
            ("pkcs11:object=%4", Pkcs11UriError::Encoding("%4".into())),
            ("pkcs11:object=%+4", Pkcs11UriError::Encoding("%+4".into())),
            ("pkcs11:object=a%00", Pkcs11UriError::Encoding("a\0".into())),
            ("pkcs11:object=%ff", Pkcs11UriError::Encoding("\u{fffd}".into())),
        ] {
            assert_eq!(parse(text), Err(want), "{text}");
        }
        for text in ["object=k;type=cert", "object=k;slot-id=+1", "object=k?module-path=x.so"] {
            let read = parse(&format!("pkcs11:{text}"));
            assert!(matches!(read, Err(Pkcs11UriError::Value { .. })), "{text}: {read:?}");
        }
    }
}
