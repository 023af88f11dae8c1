//! The images of a cluster, and who uses each.
//!
//! Needs the right to `list` the kinds below and no other. What may not be
//! listed, cannot be read or changes too fast is reported: an answer that
//! leaves out a kind says nothing of the cluster.

mod api;
mod discover;
mod page;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use serde_json::Value;

use self::api::Api;
use super::plan::Access;
use super::{Name, Plan, PlanError, Unlisted, User};
use crate::limits::Limits;
use crate::webhook::PodAccess;
use crate::webhook::review::{Table, images_of};

/// Objects of one kind that cannot be read are named up to here.
const NAMED: usize = 100;

/// A kind of objects to list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Resource {
    /// Group and version as objects have them: `apps/v1`.
    version: String,
    /// Its name in paths and in RBAC: `deployments`.
    plural: String,
    /// Its kind, as objects have it.
    kind: String,
    /// Whether its objects lie in namespaces.
    scope: Scope,
}

/// Where the objects of a kind lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Namespaced,
    Cluster,
}

/// Kubernetes' own kinds that run pods, each with its group and version.
/// Owners stand before what they own, so that a pod can be known as its
/// Deployment's.
const BUILT_IN: &[(&str, &str, &str)] = &[
    ("apps/v1", "deployments", "Deployment"),
    ("apps/v1", "statefulsets", "StatefulSet"),
    ("apps/v1", "daemonsets", "DaemonSet"),
    ("batch/v1", "cronjobs", "CronJob"),
    ("v1", "podtemplates", "PodTemplate"),
    ("v1", "replicationcontrollers", "ReplicationController"),
    ("apps/v1", "replicasets", "ReplicaSet"),
    ("batch/v1", "jobs", "Job"),
    ("v1", "pods", "Pod"),
];

impl Resource {
    fn built_in() -> impl Iterator<Item = Self> {
        BUILT_IN.iter().map(|(version, plural, kind)| Self {
            version: (*version).to_owned(),
            plural: (*plural).to_owned(),
            kind: (*kind).to_owned(),
            scope: Scope::Namespaced,
        })
    }

    /// As RBAC names it: `deployments.apps`.
    fn name(&self) -> String {
        match self.version.split_once('/') {
            Some((group, _)) => format!("{}.{group}", self.plural),
            None => self.plural.clone(),
        }
    }

    fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.version.contains('/') { "/apis" } else { "/api" };
        let namespace = namespace.map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        format!("{root}/{}{namespace}/{}", self.version, self.plural)
    }
}

/// Adds the images of a cluster's workloads to a plan: of every kind that
/// `table` knows, in some namespaces where `namespaces` is not empty. Says
/// what could not be looked at.
///
/// # Errors
/// [`PlanError`] where there are too many images.
pub async fn from_cluster(
    client: kube::Client,
    namespaces: &[String],
    table: &Table,
    plan: &mut Plan,
    limits: &Limits,
) -> Result<Vec<Unlisted>, PlanError> {
    let api = Api::new(client, limits);
    let mut unlisted = Vec::new();
    let mut resources = discover::custom(&api, table, &mut unlisted).await;
    resources.extend(Resource::built_in());
    let mut owners = Owners::new(limits.audit_users);
    for resource in &resources {
        for namespace in places(resource, namespaces) {
            let mut found = Found::new(resource, table, &mut owners, limits);
            let listed = api.list(resource, namespace, &mut found).await;
            found.finish(plan, &mut unlisted)?;
            if let Err(why) = listed {
                let what = match namespace {
                    Some(namespace) => format!("{} in {namespace}", resource.name()),
                    None => resource.name(),
                };
                unlisted.push(Unlisted { what, why });
            }
        }
    }
    Ok(unlisted)
}

/// The listings that find all objects of a kind. What lies in no namespace is
/// in none of those that were asked for.
fn places<'n>(resource: &Resource, namespaces: &'n [String]) -> Vec<Option<&'n str>> {
    match (namespaces, resource.scope) {
        ([], _) => vec![None],
        (_, Scope::Cluster) => Vec::new(),
        (some, Scope::Namespaced) => some.iter().map(|name| Some(name.as_str())).collect(),
    }
}

/// Which objects use which images, as far as pods may have them as owners.
///
/// Only hashes are kept: two that collide hide one user of an image that has
/// another one, never the image.
struct Owners {
    uses: HashSet<u64>,
    hasher: RandomState,
    most: usize,
}

impl Owners {
    fn new(most: usize) -> Self {
        Self { uses: HashSet::new(), hasher: RandomState::new(), most }
    }

    fn hash(&self, image: &str, user: &User) -> u64 {
        self.hasher.hash_one((image, user))
    }

    fn note(&mut self, image: &str, user: &User) {
        if self.uses.len() < self.most {
            let hash = self.hash(image, user);
            self.uses.insert(hash);
        }
    }

    fn have(&self, image: &str, user: &User) -> bool {
        self.uses.contains(&self.hash(image, user))
    }
}

/// What one listing found.
struct Found<'f> {
    resource: &'f Resource,
    table: &'f Table,
    owners: &'f mut Owners,
    limits: &'f Limits,
    plan: Plan,
    full: Option<PlanError>,
    unreadable: Vec<Unlisted>,
    more_unreadable: u64,
}

impl<'f> Found<'f> {
    fn new(
        resource: &'f Resource,
        table: &'f Table,
        owners: &'f mut Owners,
        limits: &'f Limits,
    ) -> Self {
        let plan = Plan::new(limits);
        let (unreadable, more_unreadable) = (Vec::new(), 0);
        Self { resource, table, owners, limits, plan, full: None, unreadable, more_unreadable }
    }

    /// Forgets everything: the listing begins anew.
    fn clear(&mut self) {
        self.plan = Plan::new(self.limits);
        self.full = None;
        self.unreadable.clear();
        self.more_unreadable = 0;
    }

    /// Adds one object. Objects in lists do not say their kind.
    fn add(&mut self, mut object: Value) {
        let text = |value: &Value, pointer: &str| -> String {
            value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let namespace = text(&object, "/metadata/namespace");
        let user = User::new(&namespace, &self.resource.kind, &text(&object, "/metadata/name"));
        let owner = owner(&object, &namespace);
        if let Some(object) = object.as_object_mut() {
            object.insert("kind".to_owned(), Value::from(self.resource.kind.as_str()));
            object.insert("apiVersion".to_owned(), Value::from(self.resource.version.as_str()));
        }
        let uses = match images_of(self.table, &object) {
            Ok(uses) => uses,
            Err(why) => return self.unreadable(&user, why.to_string()),
        };
        let images: BTreeMap<String, Arc<PodAccess>> =
            uses.into_iter().map(|used| (used.text, used.access)).collect();
        for (image, access) in images {
            let name = match image.as_str() {
                "" => Name::invalid("(no image)", "a container of it has no image"),
                image => Name::parse(image),
            };
            let key = name.key();
            self.owners.note(&key, &user);
            let owned = owner.as_ref().is_some_and(|owner| self.owners.have(&key, owner));
            let user = (!owned).then(|| user.clone());
            if let Err(full) = self.plan.add(name, user, None) {
                self.full = Some(full);
            }
            self.plan.grant(&key, Access { namespace: namespace.clone(), of: access });
        }
    }

    fn unreadable(&mut self, user: &User, why: String) {
        match self.unreadable.len() < NAMED {
            true => self.unreadable.push(Unlisted { what: user.to_string(), why }),
            false => self.more_unreadable += 1,
        }
    }

    fn finish(self, plan: &mut Plan, unlisted: &mut Vec<Unlisted>) -> Result<(), PlanError> {
        if let Some(full) = self.full {
            return Err(full);
        }
        unlisted.extend(self.unreadable);
        if self.more_unreadable > 0 {
            let what = format!("{} more {}", self.more_unreadable, self.resource.name());
            let why = "their images cannot be told".to_owned();
            unlisted.push(Unlisted { what, why });
        }
        plan.absorb(self.plan)
    }
}

/// The object that controls this one. Whoever writes an object may claim any
/// owner, so nothing but who is shown as the user depends on it.
fn owner(object: &Value, namespace: &str) -> Option<User> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let controls = |owner: &&Value| owner.get("controller").and_then(Value::as_bool) == Some(true);
    let owner = owners.iter().find(controls)?;
    let text = |key: &str| owner.get(key).and_then(Value::as_str);
    Some(User::new(namespace, text("kind")?, text("name")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(kind: &str) -> Resource {
        Resource::built_in().find(|resource| resource.kind == kind).unwrap()
    }

    fn object(kind: &str, name: &str, image: &str, owner: Option<(&str, &str)>) -> Value {
        let owners: Vec<Value> = owner
            .iter()
            .map(|(kind, name)| json!({"controller": true, "kind": kind, "name": name}))
            .collect();
        let spec =
            json!({"containers": [{"name": "a", "image": image}, {"name": "b", "image": image}]});
        let spec = if kind == "Pod" { spec } else { json!({"template": {"spec": spec}}) };
        json!({"spec": spec,
            "metadata": {"namespace": "shop", "name": name, "ownerReferences": owners}})
    }

    /// What a person wrote is shown, not what controllers made of it; but
    /// only where it uses the very image.
    #[test]
    fn users_are_those_that_own_the_use() {
        let limits = Limits::default();
        let table = Table::built_in(&limits);
        let (mut owners, mut plan) = (Owners::new(100), Plan::new(&limits));
        let mut unlisted = Vec::new();
        for (kind, name, image, owner) in [
            ("Deployment", "web", "app:2", None),
            ("ReplicaSet", "web-1", "app:1", Some(("Deployment", "web"))),
            ("ReplicaSet", "web-2", "app:2", Some(("Deployment", "web"))),
            ("Pod", "web-2-x", "app:2", Some(("ReplicaSet", "web-2"))),
            ("Pod", "liar", "evil", Some(("Deployment", "web"))),
            ("Pod", "alone", "app:2", Some(("Deployment", "no-such"))),
        ] {
            let resource = resource(kind);
            let mut found = Found::new(&resource, &table, &mut owners, &limits);
            found.add(object(kind, name, image, owner));
            found.finish(&mut plan, &mut unlisted).unwrap();
        }
        let users: Vec<String> = plan
            .into_items()
            .map(|item| {
                let users: Vec<_> = item.users.named.iter().map(ToString::to_string).collect();
                format!("{} {}", item.name.key(), users.join(", "))
            })
            .collect();
        assert_eq!(
            users,
            [
                "docker.io/library/app:1 ReplicaSet shop/web-1",
                "docker.io/library/app:2 Deployment shop/web, Pod shop/alone",
                "docker.io/library/evil:latest Pod shop/liar",
            ]
        );
    }

    #[test]
    fn objects_that_cannot_be_read_are_counted_and_named() {
        let limits = Limits::default();
        let table = Table::built_in(&limits);
        let (mut owners, mut plan) = (Owners::new(100), Plan::new(&limits));
        let resource = resource("Pod");
        let mut found = Found::new(&resource, &table, &mut owners, &limits);
        (0..150).for_each(|_| found.add(json!({"metadata": {"name": "odd"}, "spec": 1})));
        let mut unlisted = Vec::new();
        found.finish(&mut plan, &mut unlisted).unwrap();
        assert_eq!(unlisted.len(), NAMED + 1);
        assert_eq!(unlisted[0].what, "Pod odd");
        assert_eq!(unlisted[NAMED].what, "50 more pods");
    }

    /// What the webhook asks about, an audit lists.
    #[test]
    fn every_built_in_kind_of_the_table_is_listed() {
        let table = Table::built_in(&Limits::default());
        for place in table.places() {
            let slash = if place.group.is_empty() { "" } else { "/" };
            let version = format!("{}{slash}{}", place.group, place.version);
            let listed =
                |resource: Resource| resource.kind == place.kind && resource.version == version;
            assert!(Resource::built_in().any(listed), "{place:?}");
        }
        assert_eq!(table.places().len(), BUILT_IN.len());
    }

    #[test]
    fn names_are_those_of_rbac() {
        assert_eq!(resource("Pod").name(), "pods");
        assert_eq!(resource("CronJob").name(), "cronjobs.batch");
    }
}
