//! What containers/image decides by a policy.json, as its source says
//! (container-libs, image/signature/policy_eval.go, policy_reference_match.go
//! and image/docker/policyconfiguration/naming.go).
//!
//! Only what an export writes is known; anything else fails the test.
#![allow(unreachable_pub)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A signature in the older cosign format, good under `key`, for the manifest
/// that is judged.
#[derive(Debug, Clone)]
pub struct Signature {
    /// What [`super::pem`] says of the key.
    pub key: String,
    /// `docker-reference`, as signed.
    pub name: String,
}

/// A name as containers/image reads it: normalised less than by ocisign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Host and path.
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Name {
    /// distribution/reference, `ParseNormalizedNamed`.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (host, path) = match rest.split_once('/') {
            Some((host, path))
                if host.contains(['.', ':'])
                    || host == "localhost"
                    || host.to_lowercase() != host =>
            {
                (host, path)
            }
            _ => ("docker.io", rest),
        };
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        let library = host == "docker.io" && !path.contains('/');
        let path = if library { format!("library/{path}") } else { path.to_owned() };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(c);
        let good = !path.is_empty() && path.chars().all(plain);
        good.then(|| Self { name: format!("{host}/{path}"), tag, digest })
    }

    fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    fn text(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        let digest = self.digest.iter().map(|digest| format!("@{digest}"));
        [self.name.clone()].into_iter().chain(tag).chain(digest).collect()
    }

    /// What is looked up, in this order; then "" and `default`.
    fn lookups(&self) -> Vec<String> {
        let mut found = vec![self.text()];
        let mut name = self.name.as_str();
        loop {
            found.push(name.to_owned());
            let Some((parent, _)) = name.rsplit_once('/') else { break };
            name = parent;
        }
        let mut host = name.split(':').next().unwrap();
        while let Some((_, parent)) = host.split_once('.') {
            found.push(format!("*.{parent}"));
            host = parent;
        }
        found
    }
}

/// Whether the image of this name may run, of which these are the signatures.
/// A reference with both tag and digest is refused.
pub fn allows(policy: &Value, name: &Name, signatures: &[Signature]) -> bool {
    if name.is_name_only() || (name.tag.is_some() && name.digest.is_some()) {
        return false;
    }
    let scopes = policy["transports"].get("docker").map(|docker| docker.as_object().unwrap());
    let hit = scopes.and_then(|scopes| {
        let lookups = name.lookups().into_iter().chain([String::new()]);
        lookups.into_iter().find_map(|scope| scopes.get(&scope))
    });
    let requirements = hit.unwrap_or(&policy["default"]).as_array().unwrap();
    assert!(!requirements.is_empty(), "such a file is refused");
    requirements.iter().all(|requirement| met(requirement, name, signatures))
}

fn met(requirement: &Value, name: &Name, signatures: &[Signature]) -> bool {
    match requirement["type"].as_str().unwrap() {
        "insecureAcceptAnything" => true,
        "reject" => false,
        "sigstoreSigned" => {
            let keys = keys(requirement);
            let identity = &requirement["signedIdentity"];
            signatures.iter().any(|signature| {
                keys.contains(&signature.key) && agrees(identity, name, &signature.name)
            })
        }
        other => panic!("{other}"),
    }
}

fn keys(requirement: &Value) -> Vec<String> {
    let list = match (requirement.get("keyData"), requirement.get("keyDatas")) {
        (Some(one), None) => vec![one],
        (None, Some(several)) => several.as_array().unwrap().iter().collect(),
        _ => panic!("exactly one of them: {requirement}"),
    };
    let decode = |data: &Value| STANDARD.decode(data.as_str().unwrap()).unwrap();
    list.into_iter().map(|data| String::from_utf8(decode(data)).unwrap()).collect()
}

fn agrees(identity: &Value, asked: &Name, signed: &str) -> bool {
    let Some(signed) = Name::parse(signed) else { return false };
    match identity["type"].as_str().unwrap() {
        "matchRepository" => signed.name == asked.name,
        "matchExact" => !signed.is_name_only() && signed.text() == asked.text(),
        "matchRepoDigestOrExact" => exact_or_digest(asked, &signed),
        "remapIdentity" => {
            let prefix = identity["prefix"].as_str().unwrap();
            let below = asked.name.strip_prefix(prefix);
            if !below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                return exact_or_digest(asked, &signed);
            }
            let to = identity["signedPrefix"].as_str().unwrap();
            let mapped = asked.text().replacen(prefix, to, 1);
            // `ParseNamed` takes only what is normalised already
            let named = Name::parse(&mapped).filter(|name| name.text() == mapped);
            named.is_some_and(|asked| exact_or_digest(&asked, &signed))
        }
        other => panic!("{other}"),
    }
}

fn exact_or_digest(asked: &Name, signed: &Name) -> bool {
    match (signed.is_name_only(), &asked.tag, &asked.digest) {
        (true, _, _) | (_, None, None) => false,
        (false, Some(_), _) => signed.text() == asked.text(),
        (false, None, Some(_)) => signed.name == asked.name,
    }
}
