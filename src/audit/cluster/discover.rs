//! How custom kinds are called in paths: the API server's discovery
//! documents, which every service account may read.

use serde::Deserialize;

use super::api::Api;
use super::{Resource, Scope};
use crate::audit::Unlisted;
use crate::webhook::review::Table;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
struct Kinds {
    #[serde(default)]
    resources: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    name: String,
    kind: String,
    namespaced: bool,
}

/// The custom kinds of a table that the cluster has. One that it does not
/// have has no objects; one that cannot be told is noted.
pub(super) async fn custom(
    api: &Api<'_>,
    table: &Table,
    unlisted: &mut Vec<Unlisted>,
) -> Vec<Resource> {
    let mut resources = Vec::new();
    for (group, kind) in table.custom_kinds() {
        match find(api, group, kind).await {
            Ok(found) => resources.extend(found),
            Err(why) => unlisted.push(Unlisted { what: format!("{kind} of {group}"), why }),
        }
    }
    resources
}

async fn find(api: &Api<'_>, group: &str, kind: &str) -> Result<Option<Resource>, String> {
    let path = format!("/apis/{group}");
    let Some(about) = api.document::<Group>(&path, group).await? else { return Ok(None) };
    let version = about.preferred_version.group_version;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let is_version = |version: &str| !version.is_empty() && version.chars().all(plain);
    if !version.strip_prefix(group).and_then(|rest| rest.strip_prefix('/')).is_some_and(is_version)
    {
        return Err("the API server names another group; look at it".to_owned());
    }
    let path = format!("/apis/{version}");
    let Some(kinds) = api.document::<Kinds>(&path, &version).await? else { return Ok(None) };
    // `rollouts/scale` is a part of an object, not a kind of them
    let is_it =
        |one: &Kind| one.kind == kind && !one.name.is_empty() && one.name.chars().all(plain);
    let found = kinds.resources.into_iter().find(is_it);
    Ok(found.map(|one| Resource {
        version,
        plural: one.name,
        kind: one.kind,
        scope: if one.namespaced { Scope::Namespaced } else { Scope::Cluster },
    }))
}
