//! What the OpenAPI documents of the API server say: which requests can
//! write an object, and which fields of it are text about images.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::Cluster;

/// One document: one group and version.
pub(crate) struct Document {
    json: Value,
}

/// A request that brings a whole object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Request {
    /// Of the resource: that of the path.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) subresource: Option<String>,
    /// `CREATE` or `UPDATE`, as admission calls it.
    pub(crate) operation: &'static str,
    /// Of the object.
    pub(crate) kind: Kind,
    /// Name of the object's schema.
    pub(crate) schema: String,
}

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
}

/// A field that holds a text or texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field {
    /// The way to it from the object's root.
    pub(crate) path: Vec<Step>,
    /// The schema that declares it, without its package.
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) description: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Member(String),
    /// Any element of a list.
    Element,
    /// Any value of a map.
    Value,
}

/// All documents of the groups that are Kubernetes' own. Those of custom
/// resources are their authors', and the table of `--resources` names them.
pub(crate) fn documents(cluster: &Cluster) -> Vec<Document> {
    let index = cluster.read("/openapi/v3").succeeds().json;
    let paths = index["paths"].as_object().unwrap();
    let own = |path: &&String| {
        let group = path.strip_prefix("apis/").unwrap_or_default();
        let group = group.split('/').next().unwrap_or_default();
        path.as_str() == "api/v1"
            || path.starts_with("apis/") && (!group.contains('.') || group.ends_with(".k8s.io"))
    };
    let urls = paths
        .keys()
        .filter(own)
        .map(|path| paths[path]["serverRelativeURL"].as_str().unwrap().to_owned());
    urls.map(|url| Document { json: cluster.read(&url).succeeds().json }).collect()
}

impl Document {
    /// A document of its own, for a test of what reads it.
    pub(crate) fn new(json: Value) -> Self {
        Self { json }
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    /// Every request that creates or replaces an object, each once.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let mut found = Vec::new();
        let Some(paths) = self.json["paths"].as_object() else { return found };
        for (path, methods) in paths {
            for (method, operation) in [("post", "CREATE"), ("put", "UPDATE")] {
                found.extend(request(path, &methods[method], operation));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// Every text in objects of a schema.
    pub(crate) fn texts(&self, schema: &str) -> Vec<Field> {
        let mut walk =
            Walk { document: self, path: Vec::new(), open: Vec::new(), found: Vec::new() };
        walk.named(schema);
        walk.found
    }
}

/// `/apis/GROUP/VERSION/[namespaces/{namespace}/]RESOURCE[/{name}[/SUB]]`.
fn request(path: &str, method: &Value, operation: &'static str) -> Option<Request> {
    let body = &method["requestBody"]["content"]["*/*"]["schema"];
    let schema = reference(body)?;
    let kind = &method["x-kubernetes-group-version-kind"];
    let word = |key: &str| Some(kind[key].as_str()?.to_owned());
    let kind = Kind { group: word("group")?, version: word("version")?, kind: word("kind")? };
    let mut parts = path.trim_matches('/').split('/');
    let (group, version) = match parts.next()? {
        "api" => (String::new(), parts.next()?.to_owned()),
        _ => (parts.next()?.to_owned(), parts.next()?.to_owned()),
    };
    let rest: Vec<&str> = parts.collect();
    let rest = match rest.as_slice() {
        ["namespaces", "{namespace}", rest @ ..] => rest,
        rest => rest,
    };
    let (resource, subresource) = match rest {
        [resource] | [resource, "{name}"] => ((*resource).to_owned(), None),
        [resource, "{name}", sub @ ..] => ((*resource).to_owned(), Some(sub.join("/"))),
        other => panic!("{path}: {other:?}"),
    };
    Some(Request { group, version, resource, subresource, operation, kind, schema })
}

/// The name of the schema that is referred to, alone or with a default.
fn reference(schema: &Value) -> Option<String> {
    let direct = schema["$ref"].as_str();
    let found = direct.or_else(|| schema["allOf"][0]["$ref"].as_str())?;
    Some(found.strip_prefix("#/components/schemas/").unwrap().to_owned())
}

struct Walk<'a> {
    document: &'a Document,
    path: Vec<Step>,
    /// Schemas that the way leads through: none is entered twice.
    open: Vec<String>,
    found: Vec<Field>,
}

impl Walk<'_> {
    fn named(&mut self, name: &str) {
        if self.open.iter().any(|open| open == name) {
            return;
        }
        let schema = &self.document.json["components"]["schemas"][name];
        assert!(schema.is_object(), "no schema `{name}`");
        self.open.push(name.to_owned());
        if let Some(members) = schema["properties"].as_object() {
            for (member, schema) in members {
                self.member(name, member, schema);
            }
        }
        self.open.pop();
    }

    fn member(&mut self, owner: &str, name: &str, schema: &Value) {
        self.path.push(Step::Member(name.to_owned()));
        let short = owner.rsplit('.').next().unwrap();
        self.value(short, name, schema["description"].as_str().unwrap_or_default(), schema);
        self.path.pop();
    }

    fn value(&mut self, owner: &str, name: &str, description: &str, schema: &Value) {
        if let Some(other) = reference(schema) {
            let target = &self.document.json["components"]["schemas"][&other];
            match target["type"] == "string" {
                true => self.value(owner, name, description, target),
                false => self.named(&other),
            }
        } else if schema["items"].is_object() {
            self.path.push(Step::Element);
            self.value(owner, name, description, &schema["items"]);
            self.path.pop();
        } else if schema["additionalProperties"].is_object() {
            self.path.push(Step::Value);
            self.value(owner, name, description, &schema["additionalProperties"]);
            self.path.pop();
        } else if schema["properties"].is_object() {
            for (member, schema) in schema["properties"].as_object().unwrap() {
                self.member(owner, member, schema);
            }
        } else if schema["type"] == "string" {
            self.found.push(Field {
                path: self.path.clone(),
                schema: owner.to_owned(),
                name: name.to_owned(),
                description: description.to_owned(),
            });
        }
    }
}

impl Field {
    /// Whether it may hold the name of an image, as far as its names and its
    /// description tell. Generous: what it does not hold is listed.
    pub(crate) fn speaks_of_images(&self) -> bool {
        let names = self.path.iter().filter_map(|step| match step {
            Step::Member(name) => Some(name.to_lowercase()),
            Step::Element | Step::Value => None,
        });
        let in_names = names.into_iter().any(|name| name.contains("image"));
        let in_schema = self.schema.to_lowercase().contains("image");
        in_names || in_schema || self.description.to_lowercase().contains("image")
    }

    /// Where its first text is (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        let step = |step: &Step| match step {
            Step::Member(name) => format!("/{name}"),
            Step::Element => "/0".to_owned(),
            Step::Value => "/key".to_owned(),
        };
        self.path.iter().map(step).collect()
    }

    /// An object of a kind with a text in this field and nothing else.
    pub(crate) fn object(&self, kind: &Kind, text: &str) -> Value {
        let inner = self.path.iter().rev().fold(json!(text), |inner, step| match step {
            Step::Member(name) => json!({name: inner}),
            Step::Element => json!([inner]),
            Step::Value => json!({"key": inner}),
        });
        let mut object: BTreeMap<String, Value> = serde_json::from_value(inner).unwrap();
        let version = match kind.group.as_str() {
            "" => kind.version.clone(),
            group => format!("{group}/{}", kind.version),
        };
        object.insert("apiVersion".to_owned(), json!(version));
        object.insert("kind".to_owned(), json!(kind.kind));
        json!(object)
    }
}
