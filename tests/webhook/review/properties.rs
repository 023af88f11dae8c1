//! Properties over generated workloads: every image is found, no changed one
//! is skipped, and a patch pins what was judged and does nothing else.

use std::collections::BTreeSet;

use ocisign::webhook::review::{Use, mutate, validate};
use proptest::prelude::*;
use proptest::sample::Index;

use super::patches::applied;
use super::workload::{Entry, Image, Workload, entry, is_unchanged, workload};
use super::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

/// One step from an old workload to a new one.
#[derive(Debug, Clone)]
enum Edit {
    Text(usize, Index, Entry),
    Rename(usize, Index, Entry),
    Remove(usize, Index),
    Insert(usize, Index, Entry),
    Swap(usize, Index, Index),
    Move(usize, usize, Index),
    Noise(u32),
}

fn edit() -> impl Strategy<Value = Edit> {
    let (list, index) = (0..4_usize, any::<Index>());
    prop_oneof![
        (list.clone(), index.clone(), entry()).prop_map(|(l, i, e)| Edit::Text(l, i, e)),
        (list.clone(), index.clone(), entry()).prop_map(|(l, i, e)| Edit::Rename(l, i, e)),
        (list.clone(), index.clone()).prop_map(|(l, i)| Edit::Remove(l, i)),
        (list.clone(), index.clone(), entry()).prop_map(|(l, i, e)| Edit::Insert(l, i, e)),
        (list.clone(), index.clone(), index.clone()).prop_map(|(l, i, j)| Edit::Swap(l, i, j)),
        (list.clone(), list, index).prop_map(|(l, m, i)| Edit::Move(l, m, i)),
        any::<u32>().prop_map(Edit::Noise),
    ]
}

fn edited(old: &Workload, edits: &[Edit]) -> Workload {
    let mut new = old.clone();
    for edit in edits {
        match edit {
            Edit::Noise(noise) => new.noise = *noise,
            Edit::Insert(list, at, entry) => {
                let list = &mut new.lists[*list];
                list.insert(at.index(list.len() + 1), entry.clone());
            }
            Edit::Text(list, ..)
            | Edit::Rename(list, ..)
            | Edit::Remove(list, ..)
            | Edit::Swap(list, ..)
            | Edit::Move(list, ..)
                if new.lists[*list].is_empty() => {}
            Edit::Text(list, at, entry) => {
                at.get_mut(&mut new.lists[*list]).text.clone_from(&entry.text);
            }
            Edit::Rename(list, at, entry) => {
                at.get_mut(&mut new.lists[*list]).name.clone_from(&entry.name);
            }
            Edit::Remove(list, at) => {
                let list = &mut new.lists[*list];
                list.remove(at.index(list.len()));
            }
            Edit::Swap(list, one, two) => {
                let list = &mut new.lists[*list];
                let length = list.len();
                list.swap(one.index(length), two.index(length));
            }
            Edit::Move(from, to, at) => {
                let length = new.lists[*from].len();
                let entry = new.lists[*from].remove(at.index(length));
                new.lists[*to].push(entry);
            }
        }
    }
    new
}

fn places<'a>(uses: impl Iterator<Item = &'a Use>) -> BTreeSet<(String, String)> {
    uses.map(|found| (found.pointer.clone(), found.text.clone())).collect()
}

fn of(images: &[&Image]) -> BTreeSet<(String, String)> {
    images.iter().map(|image| (image.pointer.clone(), image.text.clone())).collect()
}

fn is_pinned(text: &str) -> bool {
    text.contains('@')
}

/// What the patch must make of an object.
fn pinned(object: &Value, images: &[&Image]) -> Value {
    let mut object = object.clone();
    for image in images {
        let reference: Reference = image.text.parse().unwrap();
        let digest = digest_of(reference.tag().unwrap());
        let text = object.pointer_mut(&image.pointer).unwrap();
        assert_eq!(*text, image.text);
        *text = json!(format!("{reference}@{digest}"));
    }
    object
}

fn check_update(old: &Workload, new: &Workload) -> Result<(), TestCaseError> {
    let ((old_object, before), (new_object, now)) = (old.written(), new.written());
    let body = review("UPDATE", &new_object, Some(&old_object));
    let plan = planned(&body);
    let (kept, judged): (Vec<_>, Vec<_>) =
        now.iter().partition(|image| is_unchanged(image, &now, &before) && is_pinned(&image.text));
    prop_assert_eq!(places(plan.uses.iter()), of(&judged));
    prop_assert_eq!(places(plan.kept.iter()), of(&kept));

    let (_, answer) = answered(mutate, &body, &Options::default());
    let changed = |image: &&Image| !is_unchanged(image, &now, &before) && !is_pinned(&image.text);
    let patched: Vec<_> = now.iter().filter(changed).collect();
    let after = applied(&new_object, &answer);
    prop_assert_eq!(&after, &pinned(&new_object, &patched));

    // what was patched now is compared with the same old object once more
    let again = review("UPDATE", &after, Some(&old_object));
    let (_, answer) = answered(mutate, &again, &Options::default());
    prop_assert_eq!(answer["response"].get("patch"), None);
    let strict = Options { pinned_only: true, ..Options::default() };
    let (_, answer) = answered(validate, &again, &strict);
    prop_assert_eq!(&answer["response"]["allowed"], true);
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_image_of_a_new_object_is_judged(workload in workload()) {
        let (object, images) = workload.written();
        let plan = planned(&review("CREATE", &object, None));
        prop_assert_eq!(places(plan.uses.iter()), of(&images.iter().collect::<Vec<_>>()));
        prop_assert!(plan.kept.is_empty());
        let listed = ocisign::webhook::review::images_of(&table(), &object).unwrap();
        prop_assert_eq!(places(listed.iter()), places(plan.uses.iter()));
    }

    #[test]
    fn a_patch_pins_every_new_image_and_does_nothing_else(workload in workload()) {
        let (object, images) = workload.written();
        let (_, answer) = answered(mutate, &review("CREATE", &object, None), &Options::default());
        let unpinned: Vec<_> = images.iter().filter(|image| !is_pinned(&image.text)).collect();
        let after = applied(&object, &answer);
        prop_assert_eq!(&after, &pinned(&object, &unpinned));
        let (_, again) = answered(mutate, &review("CREATE", &after, None), &Options::default());
        prop_assert_eq!(again["response"].get("patch"), None);
    }

    #[test]
    fn an_update_skips_no_changed_image_whatever_else_changed(
        old in workload(),
        edits in prop::collection::vec(edit(), 0..6),
    ) {
        check_update(&old, &edited(&old, &edits))?;
    }

    #[test]
    fn an_update_to_something_quite_different_skips_none_either(
        old in workload(),
        new in workload(),
    ) {
        check_update(&old, &Workload { kind: old.kind, ..new })?;
    }
}
