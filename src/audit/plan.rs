//! What is asked: each image once, with who uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Shard;
use crate::image::Reference;
use crate::limits::Limits;
use crate::report::escaped;
use crate::webhook::PodAccess;

/// Users kept of one image; the others are counted.
const USERS: usize = 50;

/// Characters kept of each part of a user: names of Kubernetes objects have
/// 253 at most.
const USER_PART: usize = 253;

/// Characters kept of a text that is no image's name.
const TEXT: usize = 400;

/// An object that uses an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its namespace; empty where it has none.
    pub namespace: String,
    /// Its kind, as `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl User {
    /// Takes the parts as they are, and no more of each than a name may have.
    pub fn new(namespace: &str, kind: &str, name: &str) -> Self {
        let part = |text: &str| text.chars().take(USER_PART).collect();
        Self { namespace: part(namespace), kind: part(kind), name: part(name) }
    }
}

impl fmt::Display for User {
    /// `Deployment shop/web`, safe to print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, kind, name } = self;
        let slash = if namespace.is_empty() { "" } else { "/" };
        write!(f, "{} {}{slash}{}", escaped(kind), escaped(namespace), escaped(name))
    }
}

/// The objects that use one image: the first of them by name, and how many
/// there are besides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Users {
    /// Those that are kept, sorted.
    pub named: BTreeSet<User>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Users {
    /// Adds one. Which of many are kept depends on all of them, not on their
    /// order.
    pub fn add(&mut self, user: User) {
        if self.named.insert(user) && self.named.len() > USERS {
            self.named.pop_last();
            self.more = self.more.saturating_add(1);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.more == 0
    }

    /// The first few, and how many there are besides.
    pub(super) fn first(&self, few: usize) -> Self {
        let named: BTreeSet<User> = self.named.iter().take(few).cloned().collect();
        let left = u64::try_from(self.named.len() - named.len()).unwrap_or(u64::MAX);
        Self { named, more: self.more.saturating_add(left) }
    }

    /// Whether more are named than any audit writes.
    pub(super) fn is_over(&self) -> bool {
        let long = |part: &String| part.chars().count() > USER_PART;
        let is_long = |u: &User| long(&u.namespace) || long(&u.kind) || long(&u.name);
        self.named.len() > USERS || self.named.iter().any(is_long)
    }
}

/// What an image was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A name, normalised.
    Image(Reference),
    /// Something that names no image: nobody can decide on it.
    Invalid {
        /// As it was found, safe to print and bounded.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Name {
    /// Reads a name as a runtime would.
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(reference) => Self::Image(reference),
            Err(why) => Self::invalid(text, format_args!("{why}")),
        }
    }

    /// A text that names no image.
    pub fn invalid(text: &str, why: impl fmt::Display) -> Self {
        let text = match text {
            "" => "(nothing)".to_owned(),
            text => clip(&escaped(text)),
        };
        Self::Invalid { text, why: clip(&escaped(&why.to_string())) }
    }

    /// What stands for it in the log, in reports and in the choice of shards.
    pub fn key(&self) -> String {
        match self {
            Self::Image(reference) => reference.to_string(),
            Self::Invalid { text, .. } => text.clone(),
        }
    }
}

/// The credentials that a pod names for its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The pod's namespace.
    pub namespace: String,
    /// What its spec says.
    pub of: Arc<PodAccess>,
}

impl Access {
    /// Whether this one is asked before `other`: one that names secrets, and
    /// of two the same in whatever order they came.
    fn outranks(&self, other: &Self) -> bool {
        let rank = |access: &Self| {
            (access.of.pull_secrets.is_empty(), access.namespace.clone(), Arc::clone(&access.of))
        };
        rank(self) < rank(other)
    }
}

/// What is escaped grows: a control becomes eight characters.
fn clip(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// One image to ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it was called.
    pub name: Name,
    /// Who uses it.
    pub users: Users,
    /// The first line of the list that names it.
    pub line: Option<u64>,
    /// Whose credentials are used, beside those of whoever audits.
    pub access: Option<Access>,
}

/// Why a plan is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// More images than the limit.
    #[error("there are more than {0} images; audit them in parts")]
    TooMany(usize),
}

/// Every image once, sorted by name.
#[derive(Debug)]
pub struct Plan {
    items: BTreeMap<String, Item>,
    users: usize,
    most: usize,
    most_users: usize,
}

impl Plan {
    /// A plan without images.
    pub fn new(limits: &Limits) -> Self {
        let (most, most_users) = (limits.audit_images, limits.audit_users);
        Self { items: BTreeMap::new(), users: 0, most, most_users }
    }

    /// Adds an image, or its users to the same image.
    ///
    /// # Errors
    /// [`PlanError`] where there are too many.
    pub fn add(
        &mut self,
        name: Name,
        users: impl IntoIterator<Item = User>,
        line: Option<u64>,
    ) -> Result<(), PlanError> {
        let key = name.key();
        if !self.items.contains_key(&key) && self.items.len() >= self.most {
            return Err(PlanError::TooMany(self.most));
        }
        let item = self.items.entry(key).or_insert_with(|| Item {
            name,
            users: Users::default(),
            line,
            access: None,
        });
        item.line = item.line.or(line);
        for user in users {
            let before = item.users.named.len();
            match self.users < self.most_users {
                true => item.users.add(user),
                false => item.users.more = item.users.more.saturating_add(1),
            }
            self.users += item.users.named.len() - before;
        }
        Ok(())
    }

    /// Notes the credentials of one of an image's users.
    pub fn grant(&mut self, key: &str, access: Access) {
        let Some(item) = self.items.get_mut(key) else { return };
        if item.access.as_ref().is_none_or(|other| access.outranks(other)) {
            item.access = Some(access);
        }
    }

    /// Adds the images of another plan.
    ///
    /// # Errors
    /// [`PlanError`] where there are too many.
    pub fn absorb(&mut self, other: Self) -> Result<(), PlanError> {
        for item in other.into_items() {
            let (key, more) = (item.name.key(), item.users.more);
            self.add(item.name, item.users.named, item.line)?;
            item.access.into_iter().for_each(|access| self.grant(&key, access));
            self.count(&key, more);
        }
        Ok(())
    }

    /// Counts users of an image whose names are not known.
    pub fn count(&mut self, key: &str, more: u64) {
        if let Some(item) = self.items.get_mut(key) {
            item.users.more = item.users.more.saturating_add(more);
        }
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Leaves the images of one shard.
    pub fn keep(&mut self, shard: Shard) {
        self.items.retain(|key, _| shard.owns(key));
    }

    /// The image of a key.
    pub fn item(&self, key: &str) -> Option<&Item> {
        self.items.get(key)
    }

    /// Takes an image out: it needs no question.
    pub fn take(&mut self, key: &str) -> Option<Item> {
        self.items.remove(key)
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.items.keys().map(String::as_str)
    }

    /// The images, sorted by name.
    pub fn into_items(self) -> impl Iterator<Item = Item> {
        self.items.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::new("shop", "Pod", name)
    }

    #[test]
    fn spellings_of_one_image_are_one_question() {
        let mut plan = Plan::new(&Limits::default());
        plan.add(Name::parse("alpine"), [user("a")], Some(1)).unwrap();
        plan.add(Name::parse("docker.io/library/alpine:latest"), [user("b")], Some(2)).unwrap();
        plan.add(Name::parse("no image!"), [], Some(3)).unwrap();
        plan.add(Name::parse("no image!"), [], Some(4)).unwrap();
        let items: Vec<Item> = plan.into_items().collect();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].users.named.len(), 2);
        assert_eq!((items[0].line, items[1].line), (Some(1), Some(3)));
        assert!(matches!(&items[1].name, Name::Invalid { text, .. } if text == "no image!"));
    }

    #[test]
    fn the_users_that_are_kept_do_not_depend_on_the_order() {
        let of = |order: &mut dyn Iterator<Item = usize>| {
            let mut users = Users::default();
            order.for_each(|n| users.add(user(&format!("{n:03}"))));
            users
        };
        let users = of(&mut (0..80));
        assert_eq!(users, of(&mut (0..80).rev()));
        assert_eq!((users.named.len(), users.more), (USERS, 30));
        assert!(!users.is_over());
    }

    #[test]
    fn images_and_users_are_bounded() {
        let limits = Limits { audit_images: 2, audit_users: 3, ..Limits::default() };
        let mut plan = Plan::new(&limits);
        for image in ["a", "b", "a"] {
            plan.add(Name::parse(image), [user("x"), user("y")], None).unwrap();
        }
        let added = plan.add(Name::parse("c"), [], None);
        assert_eq!(added, Err(PlanError::TooMany(2)));
        let kept: usize = plan.into_items().map(|item| item.users.named.len()).sum();
        assert_eq!(kept, 3);
    }
}
