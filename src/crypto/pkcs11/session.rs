//! A token: found, opened, logged in to, searched.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;

use crate::crypto::{KeyError, Password, Pkcs11Uri};

/// An open session with one token. Closed when dropped; the library stays
/// initialised, as other sessions of this process may use it.
pub(super) struct Token {
    module: Pkcs11,
    slot: Slot,
    info: TokenInfo,
    pub(super) session: Session,
}

impl Token {
    pub(super) fn open(uri: &Pkcs11Uri) -> Result<Self, KeyError> {
        let module = load(uri)?;
        let (slot, info) = only_token(&module, uri)?;
        let session = module.open_ro_session(slot).map_err(|e| {
            token(format!("`{}` cannot be opened ({}); is it in use?", info.label(), describe(&e)))
        })?;
        Ok(Self { module, slot, info, session })
    }

    /// Logs in as the user, where the token asks for it.
    pub(super) fn login(
        &self,
        pin: &mut dyn FnMut() -> Result<Password, KeyError>,
    ) -> Result<(), KeyError> {
        if !self.info.login_required() {
            return Ok(());
        }
        if self.info.user_pin_locked() {
            return Err(token(format!(
                "the PIN of `{}` is locked; unlock it with the token's own tool",
                self.info.label()
            )));
        }
        let logged_in = if self.info.protected_authentication_path() {
            self.session.login(UserType::User, None)
        } else {
            let pin = RawAuthPin::new(Box::new(pin()?.as_bytes().to_vec()));
            self.session.login_with_raw(UserType::User, &pin)
        };
        match logged_in {
            // The login is the process's, not the session's.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error) => Err(token(format!(
                "`{}` refuses the login ({}); check the PIN before another try, as tokens lock \
                 themselves",
                self.info.label(),
                describe(&error)
            ))),
        }
    }

    /// The only object of a class that the URI selects.
    pub(super) fn only_object(
        &self,
        class: ObjectClass,
        uri: &Pkcs11Uri,
    ) -> Result<ObjectHandle, KeyError> {
        match self.objects(&selector(class, uri))?.as_slice() {
            [only] => Ok(*only),
            [] => Err(token(format!(
                "`{}` has no such key: `{uri}`; list them with `pkcs11-tool --login --list-objects`",
                self.info.label()
            ))),
            several => Err(token(format!(
                "`{uri}` selects {} keys of `{}`; add the `id`",
                several.len(),
                self.info.label()
            ))),
        }
    }

    /// Every object that has these attributes.
    pub(super) fn objects(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>, KeyError> {
        self.session.find_objects(template).map_err(|e| {
            token(format!("`{}` cannot be searched ({})", self.info.label(), describe(&e)))
        })
    }

    pub(super) fn has_mechanism(&self, mechanism: MechanismType) -> Result<bool, KeyError> {
        let mechanisms = self.module.get_mechanism_list(self.slot).map_err(|e| {
            token(format!(
                "`{}` does not list its mechanisms ({})",
                self.info.label(),
                describe(&e)
            ))
        })?;
        Ok(mechanisms.contains(&mechanism))
    }

    /// CKA_ALWAYS_AUTHENTICATE wants a login between C_SignInit and C_Sign,
    /// which cryptoki does not offer.
    pub(super) fn refuse_repeated_login(&self, key: ObjectHandle) -> Result<(), KeyError> {
        match super::attribute(self, key, AttributeType::AlwaysAuthenticate)? {
            Some(Attribute::AlwaysAuthenticate(true)) => Err(KeyError::Unsupported(
                "the key wants its PIN for each signature (CKA_ALWAYS_AUTHENTICATE), which is not \
                 supported; use a key without that attribute"
                    .into(),
            )),
            _ => Ok(()),
        }
    }
}

/// What the URI says about an object.
pub(super) fn selector(class: ObjectClass, uri: &Pkcs11Uri) -> Vec<Attribute> {
    let label = uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes()));
    let id = uri.id.clone().map(Attribute::Id);
    [Some(Attribute::Class(class)), label, id].into_iter().flatten().collect()
}

fn load(uri: &Pkcs11Uri) -> Result<Pkcs11, KeyError> {
    let path = uri.module_path().ok_or_else(|| {
        token("the URI names no PKCS#11 library; add `?module-path=/PATH/OF/LIBRARY.so`".into())
    })?;
    let failed = |e: Error| {
        token(format!(
            "the PKCS#11 library `{}` cannot be used ({}); check the path and its set-up",
            path.display(),
            describe(&e)
        ))
    };
    let module = Pkcs11::new(path).map_err(failed)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(error) => Err(failed(error)),
    }
}

fn only_token(module: &Pkcs11, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), KeyError> {
    let failed = |e: Error| token(format!("the tokens cannot be listed ({})", describe(&e)));
    let mut matching = Vec::new();
    let mut others = Vec::new();
    for slot in module.get_slots_with_initialized_token().map_err(failed)? {
        let info = module.get_token_info(slot).map_err(failed)?;
        if matches(uri, slot, &info) {
            matching.push((slot, info));
        } else {
            others.push(format!("`{}`", info.label()));
        }
    }
    match (matching.pop(), matching.len()) {
        (Some(found), 0) => Ok(found),
        (Some(_), more) => Err(token(format!(
            "`{uri}` selects {} tokens; add `token=LABEL` or `serial=NUMBER`",
            more + 1
        ))),
        (None, _) if others.is_empty() => {
            Err(token("there is no token; is it plugged in and initialised?".into()))
        }
        (None, _) => {
            Err(token(format!("no token is what `{uri}` says; there are {}", others.join(", "))))
        }
    }
}

fn matches(uri: &Pkcs11Uri, slot: Slot, info: &TokenInfo) -> bool {
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| w == value);
    is(&uri.token, info.label())
        && is(&uri.manufacturer, info.manufacturer_id())
        && is(&uri.model, info.model())
        && is(&uri.serial, info.serial_number())
        && uri.slot_id.is_none_or(|id| id == slot.id())
}

/// cryptoki's own text quotes paragraphs of the standard.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::Pkcs11(value, function) => format!("{function:?}: {value:?}"),
        other => other.to_string(),
    }
}

fn token(message: String) -> KeyError {
    KeyError::Token(message)
}
