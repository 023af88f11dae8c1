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
        let reason = "its name may only have letters, digits, `-`, `_` and `.`; \
                      correct the credentials file";
        return Err(unusable(format!("credential helper `{shown}`"), reason));
    }
    run(&format!("docker-credential-{suffix}"), server(repository), timeout).await
}

async fn run(
    program: &str,
    server: &str,
    timeout: Duration,
) -> Result<Option<Credential>, StoreError> {
    let place = format!("credential helper `{program}`");
    let (ok, said) = match tokio::time::timeout(timeout, talk(program, server)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let reason = format!("it cannot be run ({error}); install it or log in without it");
            return Err(unusable(place, reason));
        }
        Err(_) => {
            let seconds = timeout.as_secs_f32();
            let reason = format!("it gave no answer within {seconds} s; unlock its keyring");
            return Err(unusable(place, reason));
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

    fn script(dir: &tempfile::TempDir, body: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.path().join("docker-credential-test");
        // moved into place: a file that is open for writing cannot be run
        let draft = dir.path().join("draft");
        std::fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(draft, &path).unwrap();
        path.display().to_string()
    }

    #[tokio::test]
    async fn a_helper_is_told_the_server_and_answers_in_time_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let second = Duration::from_secs(1);
        let echo = r#"test "$1" = get && printf '{"Username":"me","Secret":"%s"}' "$(cat)""#;
        let program = script(&dir, echo);
        let found = run(&program, "a.example", second * 20).await.unwrap();
        let want =
            Credential::Password { username: "me".into(), password: Secret::new("a.example") };
        assert_eq!(found, Some(want));

        let program = script(&dir, "exec sleep 60");
        let error = run(&program, "a.example", second / 5).await.unwrap_err().to_string();
        assert!(error.contains("no answer"), "{error}");

        let program = script(&dir, "echo a secret; exit 1");
        let error = run(&program, "a.example", second * 20).await.unwrap_err().to_string();
        assert!(error.contains("failed") && !error.contains("a secret"), "{error}");

        let program = script(&dir, "exec yes");
        assert!(run(&program, "a.example", second * 20).await.is_err(), "an endless answer is cut");
        let missing = dir.path().join("none").display().to_string();
        assert!(run(&missing, "a.example", second).await.is_err());
    }
}
