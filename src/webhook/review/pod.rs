//! The images of one pod spec, and the credentials that it names.

use std::sync::Arc;

use serde_json::Value;

use crate::image::ReferenceError;
use crate::limits::Limits;
use crate::report::escaped;
use crate::webhook::PodAccess;

use super::object::At;
use super::{Change, Role, Unreadable, Use};

/// A place of images in a pod spec: the list, and the path of the text in
/// each of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageField {
    /// Field of the pod spec; a list.
    pub list: &'static str,
    /// Fields from an element of the list to the text.
    pub path: &'static [&'static str],
    /// What such an image is for.
    pub role: Role,
}

/// Every field of a pod spec that names an image (Kubernetes core/v1, PodSpec).
pub const IMAGE_FIELDS: &[ImageField] = &[
    ImageField { list: "containers", path: &["image"], role: Role::Container },
    ImageField { list: "initContainers", path: &["image"], role: Role::InitContainer },
    ImageField { list: "ephemeralContainers", path: &["image"], role: Role::EphemeralContainer },
    ImageField { list: "volumes", path: &["image", "reference"], role: Role::ImageVolume },
];

/// Keys that are read between an object's root and an image.
pub(super) const KEYS: &[&str] = &[
    "spec",
    "template",
    "jobTemplate",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "image",
    "reference",
    "imagePullSecrets",
    "serviceAccountName",
];

/// Uses found so far, and how many there may be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) uses: Vec<Use>,
    pub(super) bounds: Bounds,
}

/// How much one object may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) images: usize,
    pub(super) pull_secrets: usize,
}

impl Bounds {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { images: limits.review_images, pull_secrets: limits.pull_secrets }
    }
}

impl Found {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { uses: Vec::new(), bounds }
    }

    /// Adds a use, unless two paths led to one place.
    pub(super) fn add(&mut self, found: Use) -> Result<(), Unreadable> {
        if self.uses.iter().any(|other| other.pointer == found.pointer) {
            return Ok(());
        }
        let most = self.bounds.images;
        if self.uses.len() >= most {
            return Err(Unreadable::new(format!(
                "the object has more than {most} images; split it"
            )));
        }
        self.uses.push(found);
        Ok(())
    }

    /// Adds every image of a pod spec.
    pub(super) fn add_pod_spec(&mut self, spec: &At<'_>) -> Result<(), Unreadable> {
        let access = Arc::new(access(spec, self.bounds.pull_secrets)?);
        for field in IMAGE_FIELDS {
            for element in spec.elements(field.list)? {
                if let Some(found) = image(field, &element, &access)? {
                    let list = format!("{}/{}", spec.pointer, field.list);
                    self.add(Use { list, ..found })?;
                }
            }
        }
        Ok(())
    }
}

/// The image of one element; `None` where a volume is of another kind.
fn image(
    field: &ImageField,
    element: &At<'_>,
    access: &Arc<PodAccess>,
) -> Result<Option<Use>, Unreadable> {
    let name = element.text("name")?.unwrap_or_default();
    let Some((last, before)) = field.path.split_last() else { return Ok(None) };
    let Some(parent) = element.descend(before)? else { return Ok(None) };
    let text = parent.text(last)?;
    let pointer = format!("{}/{last}", parent.pointer);
    Ok(Some(Use::new(pointer, field.role, name, text, access)))
}

impl Use {
    /// A use of the image that `text` names.
    pub(super) fn new(
        pointer: String,
        role: Role,
        name: &str,
        text: Option<&str>,
        access: &Arc<PodAccess>,
    ) -> Self {
        let reference = match text {
            // the API server lets a template leave it out, for a controller to
            // fill in; what that will be is not known here
            None | Some("") => Err("names no image; write one".to_owned()),
            Some(text) if is_image_id(text) => Err(format!(
                "`{}` is an image that a node has already, from nowhere; write HOST/REPOSITORY",
                escaped(text)
            )),
            Some(text) => text.parse().map_err(|e: ReferenceError| e.to_string()),
        };
        Self {
            pointer,
            role,
            name: name.to_owned(),
            text: text.unwrap_or_default().to_owned(),
            reference,
            change: Change::New,
            access: Arc::clone(access),
            list: String::new(),
        }
    }
}

/// Whether a runtime takes a text for the id of an image on its node, or for
/// the beginning of one. By the grammar it is the repository `sha256` of
/// Docker Hub, which is not what would run.
fn is_image_id(text: &str) -> bool {
    let algorithms = ["sha256", "sha384", "sha512"];
    text.split_once(':').is_some_and(|(name, _)| algorithms.contains(&name))
}

fn access(spec: &At<'_>, most: usize) -> Result<PodAccess, Unreadable> {
    let mut pull_secrets = Vec::new();
    for (index, secret) in spec.elements("imagePullSecrets")?.enumerate() {
        if index >= most {
            let why = format!("the pod names more than {most} pull secrets; name fewer");
            return Err(Unreadable::new(why));
        }
        // Kubernetes ignores an entry without a name
        let name = secret.text("name")?.unwrap_or_default();
        if !name.is_empty() && !pull_secrets.iter().any(|other| other == name) {
            pull_secrets.push(name.to_owned());
        }
    }
    // the older name of the field; the API server keeps both alike
    let account = match spec.text("serviceAccountName")? {
        None | Some("") => spec.text("serviceAccount")?,
        account => account,
    };
    Ok(PodAccess { pull_secrets, service_account: account.unwrap_or_default().to_owned() })
}

/// The pod spec of a value that must be one.
pub(super) fn pod_spec<'a>(pointer: String, value: &'a Value) -> Result<At<'a>, Unreadable> {
    let at = At { pointer, value };
    match value.is_object() {
        true => Ok(at),
        false => Err(at.is_no("pod spec")),
    }
}
