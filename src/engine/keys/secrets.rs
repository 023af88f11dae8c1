//! Where passwords and PINs come from: a variable, else a prompt on a
//! terminal, else an error. Never an argument, never a wait.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use crate::crypto::{KeyError, Password};

/// Longest password or PIN that is taken.
#[cfg(feature = "pkcs11")]
pub(super) const MAX_SECRET_BYTES: u64 = 1024;

const PASSWORD_VARIABLES: [&str; 2] = ["OCISIGN_PASSWORD", "COSIGN_PASSWORD"];
const PIN_VARIABLES: [&str; 2] = ["OCISIGN_PKCS11_PIN", "COSIGN_PKCS11_PIN"];

/// How a person is asked for a secret: gets the text of the prompt.
pub type Prompt<'a> = dyn FnMut(&str) -> std::io::Result<String> + 'a;

/// Where secrets come from.
pub struct Secrets<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    prompt: Option<&'a mut Prompt<'a>>,
}

impl<'a> Secrets<'a> {
    /// This process's environment, then `prompt`, which is used only when
    /// both stdin and stderr are terminals: otherwise nobody would answer.
    /// It gets the text to show, and may be `rpassword::prompt_password`.
    pub fn of_process(prompt: &'a mut Prompt<'a>) -> Self {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self { variable: &|name| std::env::var_os(name), prompt: terminal.then_some(prompt) }
    }

    /// Variables and a prompt of the caller's choice; without a prompt a
    /// secret that no variable holds is an error.
    pub fn new(
        variable: &'a dyn Fn(&str) -> Option<OsString>,
        prompt: Option<&'a mut Prompt<'a>>,
    ) -> Self {
        Self { variable, prompt }
    }

    /// The password of an encrypted key. A variable that is set but empty
    /// holds the empty password.
    ///
    /// # Errors
    /// [`KeyError::NoPassword`].
    pub fn key_password(&mut self, key: &str) -> Result<Password, KeyError> {
        self.find(&PASSWORD_VARIABLES, &format!("Password of `{key}`: "), "the key is encrypted")
    }

    /// The password for a new key. A person gives it twice.
    ///
    /// # Errors
    /// [`KeyError::NoPassword`], also when the two differ.
    pub fn new_password(&mut self, key: &str) -> Result<Password, KeyError> {
        let why = "a new key needs a password (or `--no-password`)";
        if let Some(password) = self.from_variables(&PASSWORD_VARIABLES) {
            return Ok(password);
        }
        let first = self.ask(&format!("New password for `{key}`: "), &PASSWORD_VARIABLES, why)?;
        let second = self.ask("The same again: ", &PASSWORD_VARIABLES, why)?;
        if first.as_bytes() != second.as_bytes() {
            return Err(KeyError::NoPassword("the two passwords differ; try again".into()));
        }
        Ok(first)
    }

    /// The user's PIN of a token. Variables of its own, because a password
    /// that is tried as a PIN uses up one of the token's few attempts.
    ///
    /// # Errors
    /// [`KeyError::NoPassword`].
    pub fn token_pin(&mut self, token: &str) -> Result<Password, KeyError> {
        self.find(&PIN_VARIABLES, &format!("PIN for `{token}`: "), "the token wants a PIN")
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name)
    }

    fn find(&mut self, variables: &[&str], prompt: &str, why: &str) -> Result<Password, KeyError> {
        match self.from_variables(variables) {
            Some(password) => Ok(password),
            None => self.ask(prompt, variables, why),
        }
    }

    fn from_variables(&self, names: &[&str]) -> Option<Password> {
        let value = names.iter().find_map(|name| self.variable(name))?;
        Some(Password::new(value.into_encoded_bytes()))
    }

    fn ask(&mut self, prompt: &str, variables: &[&str], why: &str) -> Result<Password, KeyError> {
        let names =
            variables.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
        let Some(ask) = &mut self.prompt else {
            return Err(KeyError::NoPassword(format!(
                "{why}, and there is no terminal to ask on; set {names} (empty for an empty one)"
            )));
        };
        ask(prompt).map(Password::new).map_err(|error| {
            KeyError::NoPassword(format!("{why}, and it could not be asked ({error}); set {names}"))
        })
    }
}

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets(prompt: {})", self.prompt.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(
        set: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&str) -> Option<OsString> {
        move |name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).into())
    }

    fn password(set: &'static [(&'static str, &'static str)]) -> Result<String, KeyError> {
        let variables = variables(set);
        let found = Secrets::new(&variables, None).key_password("k")?;
        Ok(String::from_utf8(found.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn our_variable_comes_before_cosigns() {
        assert_eq!(
            password(&[("COSIGN_PASSWORD", "c"), ("OCISIGN_PASSWORD", "o")]),
            Ok("o".into())
        );
        assert_eq!(password(&[("COSIGN_PASSWORD", "c")]), Ok("c".into()));
    }

    #[test]
    fn set_but_empty_is_the_empty_password() {
        assert_eq!(password(&[("COSIGN_PASSWORD", "c"), ("OCISIGN_PASSWORD", "")]), Ok("".into()));
    }

    #[test]
    fn no_variable_and_no_terminal_is_an_error_that_names_the_variable() {
        let error = password(&[("OCISIGN_PKCS11_PIN", "1234")]).unwrap_err();
        assert!(error.to_string().contains("`OCISIGN_PASSWORD`"), "{error}");
    }

    #[test]
    fn a_password_is_never_tried_as_a_pin() {
        let variables = variables(&[("OCISIGN_PASSWORD", "o"), ("COSIGN_PASSWORD", "c")]);
        assert!(Secrets::new(&variables, None).token_pin("t").is_err());
    }

    #[test]
    fn a_new_password_is_asked_twice_and_must_be_the_same() {
        let unset = variables(&[]);
        for (answers, same) in [(["a", "a"], true), (["a", "b"], false)] {
            let mut answers = answers.into_iter();
            let mut prompt = |_: &str| Ok(answers.next().unwrap().to_owned());
            let given = Secrets::new(&unset, Some(&mut prompt)).new_password("k");
            assert_eq!(given.is_ok(), same);
        }
    }
}
