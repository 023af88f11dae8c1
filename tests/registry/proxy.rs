//! `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`: variables of a process, so
//! each case is one.

use std::process::Command;

use super::*;
use crate::common::registry::Options;

/// Runs as a process of its own: pulls what the variable names.
#[tokio::test]
#[ignore = "a part of the tests below"]
async fn one_pull() {
    let Ok(name) = std::env::var("OCISIGN_TEST_PULL") else { return };
    let (scheme, name) = name.split_once(' ').unwrap();
    let options = RegistryOptions { plain_http: scheme == "http", ..options() };
    let store = registry::Registry::open(&name.parse().unwrap(), options).unwrap();
    let _ = pull_tag(&store, "v1").await;
}

fn pull_with(image: &str, variables: &[(&str, String)]) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "proxy::one_pull", "--ignored"])
        .env_clear()
        .env("OCISIGN_TEST_PULL", image)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_proxy_is_used_for_other_hosts() {
    let proxy = Registry::start(Options::default());
    pull_with("http registry.example/app", &[("http_proxy", proxy.url())]);
    let asked = proxy.requests();
    assert_eq!(asked[0].target, "http://registry.example/v2/app/manifests/v1");

    let proxy = Registry::start(Options::default());
    pull_with("https registry.example/app", &[("HTTPS_PROXY", proxy.url())]);
    let asked = proxy.requests();
    assert_eq!(
        (asked[0].method.as_str(), asked[0].target.as_str()),
        ("CONNECT", "registry.example:443")
    );
}

#[test]
fn no_proxy_and_loopback_go_past_it() {
    let proxy = Registry::start(Options::default());
    let variables = [("https_proxy", proxy.url()), ("NO_PROXY", "registry.invalid".to_owned())];
    pull_with("https registry.invalid/app", &variables);
    assert_eq!(proxy.requests().len(), 0);

    let registry = Registry::start(Options::default());
    pull_with(&format!("http {}/app", registry.host()), &[("http_proxy", proxy.url())]);
    assert_eq!((proxy.requests().len(), registry.requests().len()), (0, 1));
}
