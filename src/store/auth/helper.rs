//! Credential helpers: `docker-credential-SUFFIX get`
//! (docker-credential-helpers, README, "Development").

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::{Credential, Secret, unusable};
use crate::image::Repository;
use crate::store::StoreError;

/// Most that a helper may say; a token is a few KiB.
const ANSWER_BYTES: u64 = 64 << 10;

/// The helper's own words for "I have none", printed on standard output.
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks one helper for the credential of the repository's registry.
pub(super) async fn ask(
    suffix: &str,
    repository: &Repository,
    timeout: Duration,
) -> Result<Option<Credential>, StoreError> {
    if !is_suffix(suffix) {
        let shown: String = suffix.chars().filter(|c| !c.is_control()).take(40).collect();
        let reason = "its name may only have letters, digits, `-`, `_` and `.`; correct the credentials file";
        return Err(unusable(format!("credential helper `{shown}`"), reason));
    }
    let program = format!("docker-credential-{suffix}");
    let place = format!("credential helper `{program}`");
    let run = talk(&program, server(repository));
    let (ok, said) = match tokio::time::timeout(timeout, run).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(unusable(
                place,
                format!("it cannot be run ({error}); install it or log in without it"),
            ));
        }
        Err(_) => {
            let seconds = timeout.as_secs_f32();
            return Err(unusable(
                place,
                format!("it gave no answer within {seconds} s; unlock its keyring"),
            ));
        }
    };
    interpret(ok, &said).map_err(|reason| unusable(place, reason))
}

/// One word of a file name: nothing that could leave the search path.
fn is_suffix(suffix: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    suffix.len() <= 64
        && suffix.bytes().next().is_some_and(word)
        && suffix.bytes().all(|b| word(b) || b == b'-' || b == b'.')
}

/// Docker Hub's credentials are stored under the address of its first index.
fn server(repository: &Repository) -> &str {
    match repository.host() {
        "docker.io" => "https://index.docker.io/v1/",
        host => host,
    }
}

async fn talk(program: &str, server: &str) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null()) // its diagnostics may repeat the secret
        .kill_on_drop(true)
        .spawn()?;
    write(&mut child, server).await;
    let mut said = Zeroizing::new(Vec::new());
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_BYTES).read_to_end(&mut said).await?;
    }
    Ok((child.wait().await?.success(), said))
}

/// A helper that does not read its input still gives an answer to judge.
async fn write(child: &mut Child, server: &str) {
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(server.as_bytes()).await;
    }
}

fn interpret(ok: bool, said: &[u8]) -> Result<Option<Credential>, String> {
    if !ok {
        let text = String::from_utf8_lossy(said);
        if text.trim() == NOT_FOUND {
            return Ok(None);
        }
        return Err("it failed; run it by hand, or log in again".to_owned());
    }
    let answer: Answer = serde_json::from_slice(said)
        .map_err(|_| "its answer is not the JSON object that the protocol wants".to_owned())?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        ("<token>", secret) => Some(Credential::IdentityToken(Secret::new(secret))),
        (username, secret) => Some(Credential::Password {
            username: username.to_owned(),
            password: Secret::new(secret),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_cannot_leave_the_search_path() {
        assert!(is_suffix("ecr-login") && is_suffix("secretservice"));
        for bad in ["", "../x", "a/b", "-x", ".x", "a b", "a\0b", "ü"] {
            assert!(!is_suffix(bad), "{bad}");
        }
    }

    #[test]
    fn the_protocol_s_answers_are_told_apart() {
        let token = br#"{"ServerURL":"x","Username":"<token>","Secret":"s"}"#;
        assert_eq!(interpret(true, token), Ok(Some(Credential::IdentityToken(Secret::new("s")))));
        assert_eq!(interpret(false, b"credentials not found in native keychain\n"), Ok(None));
        assert!(interpret(false, b"error getting credentials").is_err());
        assert!(interpret(true, b"not json").is_err());
    }
}
