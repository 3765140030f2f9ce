//! Policies that are made from annotations and `ImageUpdater` resources: which are to be made, changed, removed or given away. Pure.
//!
//! # Guarantees
//! A policy that no owner asked for is never named in a change: label and owner must both say that it was generated, and each change
//! holds the version that it was decided on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::discover::keeping;
use crate::api::{DETACH, GENERATED_FROM, ImageUpdatePolicy, ImageUpdatePolicySpec, TRANSLATED, TRANSLATION_PROBLEMS};
use crate::lower::generated::{generated_from, is_to_be_detached, problems_text};
use crate::model::{Application, ApplicationId, ImageReference, Policy, Problem, Reason, Repository};

const LONGEST_NAME: usize = 253;
const HASH_BYTES: usize = 8;

/// An object that asks for policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// An Application, by its annotations.
    Application {
        /// Namespace and name.
        id: ApplicationId,
        /// Its uid.
        uid: String,
    },
    /// An `ImageUpdater`.
    ImageUpdater {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
}

/// One policy that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Who asks for it.
    pub owner: Owner,
    /// The name that it should have.
    pub name: String,
    /// What it says.
    pub spec: ImageUpdatePolicySpec,
    /// What could not be translated.
    pub problems: Vec<Problem>,
    /// A fingerprint of the above.
    pub fingerprint: String,
}

/// One policy that is there.
#[derive(Debug, Clone)]
pub struct Existing<'a> {
    /// Its name.
    pub name: String,
    /// The object; `None` where it cannot be read, so that its name is all that is known.
    pub object: Option<&'a ImageUpdatePolicy>,
    /// What it means, where it can be used.
    pub policy: Option<&'a Policy>,
}

/// A change of one policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Server-side apply of this object. Without a version in it, it must not be there yet.
    Apply {
        /// Who asked for it.
        owner: Owner,
        /// The name of the policy.
        name: String,
        /// The object.
        object: Value,
        /// What could not be translated.
        problems: Vec<Problem>,
    },
    /// Its owner asks for it no more.
    Remove {
        /// The name of the policy.
        name: String,
        /// Its uid.
        uid: String,
        /// The version that this was decided on.
        version: String,
    },
    /// A person wants it for their own.
    Detach {
        /// The name of the policy.
        name: String,
        /// A merge patch.
        patch: Value,
    },
}

/// What is to be done in one namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The changes, by name of the policy.
    pub changes: Vec<Change>,
    /// What the Applications' people should know.
    pub notices: Vec<(ApplicationId, Problem)>,
}

impl Owner {
    /// The owner's uid.
    pub fn uid(&self) -> &str {
        match self {
            Self::Application { uid, .. } | Self::ImageUpdater { uid, .. } => uid,
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Application { .. } => "annotations",
            Self::ImageUpdater { .. } => "imageupdater",
        }
    }

    fn reference(&self) -> Value {
        let (version, kind, name, uid) = match self {
            Self::Application { id, uid } => ("argoproj.io/v1alpha1", "Application", &id.name, uid),
            Self::ImageUpdater { name, uid } => {
                ("argocd-image-updater.argoproj.io/v1alpha1", "ImageUpdater", name, uid)
            }
        };
        json!({
            "apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true,
            "blockOwnerDeletion": false,
        })
    }
}

impl Asked {
    /// A policy that `owner` asks for, best under the name `name`.
    pub fn new(owner: Owner, name: String, spec: ImageUpdatePolicySpec, problems: Vec<Problem>) -> Self {
        let text = format!("{}\n{problems:?}", serde_json::to_string(&spec).unwrap_or_default());
        Self { owner, name, spec, problems, fingerprint: hash(&text) }
    }

    /// The names that it may have, best first.
    fn names(&self) -> [String; 2] {
        let cut = |length: usize| -> String {
            let cut: String = self.name.chars().take(length).collect();
            cut.trim_end_matches(['-', '.']).to_owned()
        };
        let hash = &hash(&format!("{}/{}", self.owner.word(), self.name))[..HASH_BYTES];
        [cut(LONGEST_NAME), format!("{}-{hash}", cut(LONGEST_NAME - HASH_BYTES - 1))]
    }

    /// The fields that are ours. Whether a policy is suspended or a dry run stays a person's to say, where the owner does not.
    fn fields(&self) -> Value {
        let mut spec = serde_json::to_value(&self.spec).unwrap_or_default();
        for switch in ["suspend", "dryRun"] {
            let off = spec.get(switch) == Some(&Value::Bool(false));
            if let Some(spec) = spec.as_object_mut().filter(|_| off) {
                spec.remove(switch);
            }
        }
        let mut annotations = Map::from_iter([(TRANSLATED.to_owned(), json!(self.fingerprint))]);
        if let Some(problems) = problems_text(&self.problems) {
            annotations.insert(TRANSLATION_PROBLEMS.to_owned(), json!(problems));
        }
        json!({
            "metadata": { "labels": { GENERATED_FROM: self.owner.word() }, "annotations": annotations },
            "spec": spec,
        })
    }

    fn apply(&self, name: &str, namespace: &str, existing: Option<&ImageUpdatePolicy>) -> Change {
        let mut object = self.fields();
        object["apiVersion"] = json!("fairlead.dev/v1alpha1");
        object["kind"] = json!("ImageUpdatePolicy");
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!(namespace);
        object["metadata"]["ownerReferences"] = json!([self.owner.reference()]);
        if let Some(existing) = existing {
            object["metadata"]["uid"] = json!(existing.metadata.uid);
            object["metadata"]["resourceVersion"] = json!(existing.metadata.resource_version);
        }
        let (owner, problems) = (self.owner.clone(), self.problems.clone());
        Change::Apply { owner, name: name.to_owned(), object, problems }
    }

    /// Whether a policy says all that this asks for, and nothing that was asked for before.
    fn is_met(&self, existing: &ImageUpdatePolicy) -> bool {
        let annotations = existing.metadata.annotations.as_ref();
        let made_of = annotations.and_then(|annotations| annotations.get(TRANSLATED));
        let said = || json!({ "metadata": existing.metadata, "spec": existing.spec });
        made_of == Some(&self.fingerprint) && (existing.spec == self.spec || contains(&said(), &self.fields()))
    }
}

/// A namespace, as far as generated policies are concerned.
#[derive(Debug, Clone, Default)]
pub struct Situation<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// Its Applications, by name.
    pub applications: BTreeMap<&'a str, &'a Application>,
    /// Applications that cannot be read: their policies stay as they are.
    pub unknown: BTreeSet<&'a str>,
    /// The policies that are asked for.
    pub asked: Vec<&'a Asked>,
    /// The policies that are there, generated or not.
    pub existing: Vec<Existing<'a>>,
    /// The kinds of generated policies that are looked after, by the value of their label; others stay as they are.
    pub kinds: BTreeSet<&'a str>,
}

/// What is to be done, so that each policy that is asked for is there, and no other generated one.
pub fn wanted(situation: &Situation<'_>) -> Wanted {
    let mut wanted = Wanted::default();
    let objects = || situation.existing.iter().filter_map(|existing| existing.object);
    let governed = |object: &&ImageUpdatePolicy| {
        let label = object.metadata.labels.as_ref().and_then(|labels| labels.get(GENERATED_FROM));
        label.is_some_and(|label| situation.kinds.contains(label.as_str()))
            && object.metadata.deletion_timestamp.is_none()
    };
    let mut by_owner: BTreeMap<&str, Vec<&ImageUpdatePolicy>> = BTreeMap::new();
    for object in objects().filter(governed) {
        if let Some(uid) = generated_from(&object.metadata) {
            by_owner.entry(uid).or_default().push(object);
        }
    }
    let mut kept = BTreeSet::new();
    let mut missing = Vec::new();
    for &asked in &situation.asked {
        let names = asked.names();
        let theirs = by_owner.get(asked.owner.uid()).into_iter().flatten();
        let theirs = theirs.filter(|object| names.iter().any(|known| known == name(object)));
        match theirs.min_by_key(|object| name(object).len()) {
            None => missing.push((asked, names)),
            Some(existing) => {
                kept.insert(name(existing));
                if !is_to_be_detached(&existing.metadata) && !asked.is_met(existing) {
                    wanted.changes.push(asked.apply(name(existing), situation.namespace, Some(existing)));
                }
            }
        }
    }
    let generated = by_owner.values().flatten().copied();
    let (detaching, others): (Vec<_>, Vec<_>) = generated.partition(|object| is_to_be_detached(&object.metadata));
    let leaving: Vec<_> = others
        .into_iter()
        .filter(|object| !kept.contains(name(object)) && !is_unknown(object, &situation.unknown))
        .collect();
    wanted.changes.extend(detaching.into_iter().map(detach));
    wanted.changes.extend(leaving.iter().map(|object| remove(object)));
    let leaving: BTreeSet<&str> = leaving.iter().map(|object| name(object)).collect();
    make(situation, missing, &leaving, &mut wanted);
    wanted
}

/// Makes the policies that are missing, under names that are free. A name that is about to become free is waited for.
fn make(situation: &Situation<'_>, missing: Vec<(&Asked, [String; 2])>, leaving: &BTreeSet<&str>, wanted: &mut Wanted) {
    let by_hand: Vec<&Policy> =
        situation.existing.iter().filter_map(|existing| existing.policy).filter(|policy| !policy.generated).collect();
    let mut taken: BTreeSet<String> = situation.existing.iter().map(|existing| existing.name.clone()).collect();
    for (asked, names) in missing {
        if leaving.contains(names[0].as_str()) {
            continue;
        }
        if let Some(problem) = superseded(asked, &situation.applications, &by_hand) {
            wanted.notice(asked, problem);
        } else if let Some(free) = names.into_iter().find(|name| !taken.contains(name)) {
            wanted.changes.push(asked.apply(&free, situation.namespace, None));
            taken.insert(free);
        } else {
            wanted.notice(asked, name_taken(asked));
        }
    }
}

impl Wanted {
    fn notice(&mut self, asked: &Asked, problem: Problem) {
        if let Owner::Application { id, .. } = &asked.owner {
            self.notices.push((id.clone(), problem));
        }
    }
}

fn name(object: &ImageUpdatePolicy) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

/// Why no policy is made: one that a person wrote keeps every one of its images up to date.
fn superseded(asked: &Asked, applications: &BTreeMap<&str, &Application>, by_hand: &[&Policy]) -> Option<Problem> {
    let Owner::Application { id, .. } = &asked.owner else { return None };
    let application = applications.get(id.name.as_str())?;
    let repository = |text: &str| -> Option<Repository> { Some(text.parse::<ImageReference>().ok()?.repository) };
    let other = |image: &crate::api::ImageSpec| keeping(by_hand, application, &repository(&image.image)?);
    let others: Option<Vec<&Policy>> = asked.spec.images.iter().map(other).collect();
    let names: BTreeSet<String> = others?.iter().map(|policy| format!("`{}`", policy.id.name)).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let message = format!("{names}, written by hand, keeps every image of the annotations up to date");
    Some(Problem::new(Reason::Superseded, message).hint("remove the annotations"))
}

fn name_taken(asked: &Asked) -> Problem {
    let [first, second] = asked.names();
    let message = format!("no policy can be made of the annotations: `{first}` and `{second}` are there already");
    Problem::new(Reason::PolicyNameTaken, message).hint("rename one of them")
}

/// Whether a generated policy belongs to an Application that cannot be read now.
fn is_unknown(object: &ImageUpdatePolicy, unknown: &BTreeSet<&str>) -> bool {
    let owners = object.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.kind == "Application" && unknown.contains(owner.name.as_str()))
}

fn remove(object: &ImageUpdatePolicy) -> Change {
    Change::Remove {
        name: name(object).to_owned(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        version: object.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// Takes everything off that makes a policy a generated one, and our ownership of its fields.
fn detach(object: &ImageUpdatePolicy) -> Change {
    let from = generated_from(&object.metadata);
    let owners = object.metadata.owner_references.iter().flatten();
    let others: Vec<_> = owners.filter(|owner| Some(owner.uid.as_str()) != from).collect();
    let patch = json!({ "metadata": {
        "uid": object.metadata.uid,
        "resourceVersion": object.metadata.resource_version,
        "labels": { GENERATED_FROM: null },
        "annotations": { TRANSLATED: null, TRANSLATION_PROBLEMS: null, DETACH: null },
        "ownerReferences": others,
        "managedFields": [{}],
    }});
    Change::Detach { name: name(object).to_owned(), patch }
}

/// Whether `whole` says all that `part` says.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        _ => whole == part,
    }
}

fn hash(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(HASH_BYTES).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests fail loudly")]

    use super::*;
    use crate::api::{ApplicationSelector, ImageSpec};
    use crate::{api, lower};

    fn application(name: &str, uid: &str) -> Application {
        let object = json!({ "metadata": { "namespace": "argocd", "name": name, "uid": uid } });
        lower::application(&serde_json::from_value::<api::Application>(object).expect("an Application"))
    }

    fn asked(application: &Application, image: &str) -> Asked {
        let spec = ImageUpdatePolicySpec {
            interval: "2m".to_owned(),
            applications: vec![ApplicationSelector { name: Some(application.id.name.clone()), selector: None }],
            images: vec![ImageSpec { image: image.to_owned(), ..ImageSpec::default() }],
            ..ImageUpdatePolicySpec::default()
        };
        let owner = Owner::Application { id: application.id.clone(), uid: application.uid.clone() };
        Asked::new(owner, application.id.name.clone(), spec, Vec::new())
    }

    /// The policies as the API server would hold them after these changes.
    fn stored(changes: &[Change], before: Vec<ImageUpdatePolicy>) -> Vec<ImageUpdatePolicy> {
        let mut after = before;
        for change in changes {
            match change {
                Change::Apply { name, object, .. } => {
                    let mut object = object.clone();
                    object["metadata"]["uid"] = json!(format!("of-{name}"));
                    object["metadata"]["resourceVersion"] = json!("7");
                    after.retain(|known| known.metadata.name.as_ref() != Some(name));
                    after.push(serde_json::from_value(object).expect("a policy"));
                }
                Change::Remove { name, .. } => after.retain(|known| known.metadata.name.as_ref() != Some(name)),
                Change::Detach { .. } => {}
            }
        }
        after
    }

    fn by_hand(name: &str, application: &str, image: &str) -> ImageUpdatePolicy {
        let object = json!({
            "apiVersion": "fairlead.dev/v1alpha1", "kind": "ImageUpdatePolicy",
            "metadata": { "namespace": "argocd", "name": name, "uid": format!("of-{name}"), "resourceVersion": "3" },
            "spec": { "applications": [{ "name": application }], "images": [{ "image": image }] },
        });
        serde_json::from_value(object).expect("a policy")
    }

    fn decide(applications: &[&Application], asked: &[&Asked], policies: &[ImageUpdatePolicy]) -> Wanted {
        let lowered: Vec<_> = policies.iter().map(lower::policy).collect();
        let existing = policies.iter().zip(&lowered).map(|(object, lowered)| Existing {
            name: object.metadata.name.clone().unwrap_or_default(),
            object: Some(object),
            policy: lowered.policy.as_ref(),
        });
        wanted(&Situation {
            namespace: "argocd",
            applications: applications.iter().map(|one| (one.id.name.as_str(), *one)).collect(),
            unknown: BTreeSet::new(),
            asked: asked.to_vec(),
            existing: existing.collect(),
            kinds: BTreeSet::from(["annotations"]),
        })
    }

    #[test]
    fn what_is_made_is_made_once() {
        let web = application("web", "1");
        let asked = asked(&web, "nginx");
        let first = decide(&[&web], &[&asked], &[]);
        assert!(matches!(&first.changes[..], [Change::Apply { name, .. }] if name == "web"), "{first:?}");
        let policies = stored(&first.changes, Vec::new());
        assert_eq!(decide(&[&web], &[&asked], &policies), Wanted::default());
        let lowered = lower::policy(&policies[0]);
        assert!(lowered.policy.is_some_and(|policy| policy.generated));
    }

    #[test]
    fn what_a_person_adds_stays_and_what_a_person_changes_is_set_back() {
        let web = application("web", "1");
        let asked = asked(&web, "nginx");
        let mut policies = stored(&decide(&[&web], &[&asked], &[]).changes, Vec::new());
        policies[0].spec.suspend = true;
        policies[0].spec.schedule = Some(api::ScheduleSpec::default());
        assert_eq!(decide(&[&web], &[&asked], &policies), Wanted::default());
        policies[0].spec.images[0].image = "other".to_owned();
        assert_eq!(decide(&[&web], &[&asked], &policies).changes.len(), 1);
    }

    #[test]
    fn new_annotations_change_the_policy_on_the_version_that_was_seen() {
        let web = application("web", "1");
        let policies = stored(&decide(&[&web], &[&asked(&web, "nginx")], &[]).changes, Vec::new());
        let changed = decide(&[&web], &[&asked(&web, "httpd")], &policies);
        let [Change::Apply { object, .. }] = &changed.changes[..] else { panic!("{changed:?}") };
        assert_eq!(object["metadata"]["resourceVersion"], "7");
        assert_eq!(object["metadata"]["uid"], "of-web");
        assert_eq!(object["spec"]["images"][0]["image"], "httpd");
    }

    #[test]
    fn a_policy_without_an_owner_that_asks_is_removed_and_no_other() {
        let web = application("web", "1");
        let mut policies = stored(&decide(&[&web], &[&asked(&web, "nginx")], &[]).changes, Vec::new());
        policies.push(by_hand("mine", "web", "nginx"));
        let removed = decide(&[&web], &[], &policies);
        assert!(matches!(&removed.changes[..], [Change::Remove { name, .. }] if name == "web"), "{removed:?}");
        // Somebody took the label or the owner off: it is not ours to judge any more.
        let mut unlabelled = policies.clone();
        unlabelled[0].metadata.labels = None;
        assert_eq!(decide(&[&web], &[], &unlabelled), Wanted::default());
        policies[0].metadata.owner_references = None;
        assert_eq!(decide(&[&web], &[], &policies), Wanted::default());
    }

    #[test]
    fn a_name_that_is_taken_is_left_and_one_that_becomes_free_is_waited_for() {
        let web = application("web", "1");
        let asked = asked(&web, "nginx");
        let other = decide(&[&web], &[&asked], &[by_hand("web", "else", "nginx")]);
        let [Change::Apply { name, .. }] = &other.changes[..] else { panic!("{other:?}") };
        assert_eq!(name.len(), "web-".len() + HASH_BYTES);
        let both = [by_hand("web", "else", "nginx"), by_hand(name, "else", "nginx")];
        let taken = decide(&[&web], &[&asked], &both);
        assert_eq!((taken.changes.len(), taken.notices[0].1.reason), (0, Reason::PolicyNameTaken));

        let again = application("web", "2");
        let policies = stored(&decide(&[&web], &[&asked], &[]).changes, Vec::new());
        let anew = Asked::new(
            Owner::Application { id: again.id.clone(), uid: again.uid.clone() },
            "web".to_owned(),
            asked.spec.clone(),
            Vec::new(),
        );
        let waits = decide(&[&again], &[&anew], &policies);
        assert!(matches!(&waits.changes[..], [Change::Remove { .. }]), "{waits:?}");
        let made = decide(&[&again], &[&anew], &stored(&waits.changes, policies));
        assert!(matches!(&made.changes[..], [Change::Apply { name, .. }] if name == "web"), "{made:?}");
    }

    #[test]
    fn no_policy_is_made_beside_one_that_keeps_every_image() {
        let web = application("web", "1");
        let asked = asked(&web, "nginx");
        let beside = decide(&[&web], &[&asked], &[by_hand("mine", "web", "nginx")]);
        assert_eq!((beside.changes.len(), beside.notices[0].1.reason), (0, Reason::Superseded));
        assert_eq!(decide(&[&web], &[&asked], &[by_hand("mine", "web", "httpd")]).changes.len(), 1);
    }

    #[test]
    fn a_policy_that_is_detached_loses_what_made_it_generated() {
        let web = application("web", "1");
        let asked = asked(&web, "nginx");
        let mut policies = stored(&decide(&[&web], &[&asked], &[]).changes, Vec::new());
        policies[0].metadata.annotations.get_or_insert_default().insert(DETACH.to_owned(), "true".to_owned());
        let detached = decide(&[&web], &[&asked], &policies);
        let [Change::Detach { name, patch }] = &detached.changes[..] else { panic!("{detached:?}") };
        assert_eq!((name.as_str(), &patch["metadata"]["resourceVersion"]), ("web", &json!("7")));
        assert_eq!(patch["metadata"]["ownerReferences"], json!([]));
        // From that moment on it counts as written by hand.
        assert!(lower::policy(&policies[0]).policy.is_some_and(|policy| !policy.generated));
    }

    #[test]
    fn a_long_name_is_cut_to_what_kubernetes_takes() {
        let long = application(&"a".repeat(253), "1");
        let [first, second] = asked(&long, "nginx").names();
        assert_eq!((first.len(), second.len()), (253, 253));
        assert_ne!(first, second);
    }
}
