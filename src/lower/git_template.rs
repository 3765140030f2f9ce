//! Go templates of users: commit messages and branch names, with the fields that `argocd-image-updater` knows, and ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gotmpl::Value;
use sha2::{Digest as _, Sha256};

use super::template::{Failure, Prepared, Seen};
pub use crate::model::{ChangeFacts, Facts};

/// The message that is used where the user gives none.
pub const DEFAULT_MESSAGE: &str = "build: automatic update of {{ .AppName }}\n\n{{ range .AppChanges }}updates image {{ .Image }} tag '{{ .OldTag }}' to '{{ .NewTag }}'\n{{ end }}";

/// Why a template says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template cannot be used: {cause}")]
pub struct TemplateError {
    /// The cause, in the words of the template engine.
    pub cause: String,
}

/// Whether `template` can make the text of a commit or a pull request: tried on facts that no policy has.
///
/// # Errors
/// When it is no template, asks for a field that is not there, or costs too much.
pub fn check_message(template: &str) -> Result<(), TemplateError> {
    check(template, |facts| message_facts(&[facts]))
}

/// Whether `template` can make the name of a branch, as [`check_message`].
///
/// # Errors
/// As [`check_message`].
pub fn check_branch(template: &str) -> Result<(), TemplateError> {
    check(template, branch_facts)
}

fn check(template: &str, seen: impl Fn(&Facts) -> Seen) -> Result<(), TemplateError> {
    let prepared = Prepared::new(template).map_err(TemplateError::of)?;
    for changes in [1, 2] {
        match prepared.render(&seen(&sample(changes, prepared.words()))) {
            // How many changes there are is no matter of the template.
            Ok(_) | Err(Failure::Short(_)) => {}
            Err(failure) => return Err(TemplateError::of(failure)),
        }
    }
    Ok(())
}

/// Facts that no policy has. All texts are as long as a digest, so that templates may cut them, and every word of the template is a label.
fn sample(changes: usize, words: &BTreeSet<String>) -> Facts {
    let long = format!("sha256:{}", "a".repeat(64));
    let change = ChangeFacts {
        image: long.clone(),
        alias: long.clone(),
        old_tag: long.clone(),
        new_tag: long.clone(),
        old_digest: long.clone(),
        new_digest: long.clone(),
        labels: words.iter().map(|word| (word.clone(), long.clone())).collect(),
    };
    Facts {
        application: long.clone(),
        namespace: long.clone(),
        policy: long.clone(),
        target_key: "0123abcd".to_owned(),
        changes: vec![change; changes],
    }
}

impl TemplateError {
    fn of(failure: Failure) -> Self {
        let (Failure::Short(cause) | Failure::Wrong(cause)) = failure;
        Self { cause }
    }
}

impl Facts {
    /// The hash that tells one set of changes from another: of `name-old-new,` for each, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        sha256(&self.changes)
    }

    /// The text that `template` makes for a commit or a pull request.
    ///
    /// # Errors
    /// When it is no template, asks for a field that is not there, or makes too much text.
    pub fn message(&self, template: &str) -> Result<String, TemplateError> {
        Self::message_of(&[self], template)
    }

    /// The text that `template` makes for a commit with the changes of several Applications. Where there are more than one, `.AppName` is
    /// `12 applications`, and namespaces and policies stand side by side.
    ///
    /// # Errors
    /// As [`Facts::message`].
    pub fn message_of(all: &[&Self], template: &str) -> Result<String, TemplateError> {
        render(template, &message_facts(all))
    }

    /// The text that `template` makes for the name of a branch.
    ///
    /// # Errors
    /// As [`Facts::message`].
    pub fn branch(&self, template: &str) -> Result<String, TemplateError> {
        render(template, &branch_facts(self))
    }
}

fn render(template: &str, seen: &Seen) -> Result<String, TemplateError> {
    Prepared::new(template).and_then(|prepared| prepared.render(seen)).map_err(TemplateError::of)
}

fn sha256<'a>(changes: impl IntoIterator<Item = &'a ChangeFacts>) -> String {
    let mut hash = Sha256::new();
    for ChangeFacts { image, old_tag, new_tag, .. } in changes {
        hash.update(format!("{image}-{old_tag}-{new_tag},"));
    }
    hash.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn message_facts(all: &[&Facts]) -> Seen {
    let mut texts = BTreeSet::new();
    let applications: Vec<(&Facts, Vec<Value>)> = all
        .iter()
        .map(|facts| (*facts, facts.changes.iter().map(|change| message_change(change, &mut texts)).collect()))
        .collect();
    let changes = applications.iter().flat_map(|(_, changes)| changes.clone());
    let application = |(facts, changes): &(&Facts, Vec<Value>)| {
        map([
            ("Name", text(&facts.application)),
            ("Namespace", text(&facts.namespace)),
            ("Changes", list(changes.iter().cloned())),
        ])
    };
    let name = match all {
        [one] => one.application.clone(),
        several => format!("{} applications", several.len()),
    };
    let facts = map([
        ("AppName", text(&name)),
        ("AppNamespace", text(&each(all, |facts| &facts.namespace))),
        ("AppChanges", list(changes)),
        ("Applications", list(applications.iter().map(application))),
        ("Policy", text(&each(all, |facts| &facts.policy))),
        ("SHA256", text(&sha256(all.iter().flat_map(|facts| &facts.changes)))),
        ("TargetKey", text(&each(all, |facts| &facts.target_key))),
    ]);
    Seen { facts, texts }
}

/// A fact of all, each text once, side by side.
fn each<'a>(all: &[&'a Facts], fact: impl Fn(&'a Facts) -> &'a String) -> String {
    let mut texts: Vec<&str> = Vec::new();
    for text in all.iter().map(|facts| fact(facts)) {
        if !texts.contains(&text.as_str()) {
            texts.push(text);
        }
    }
    texts.join(", ")
}

fn branch_facts(facts: &Facts) -> Seen {
    let image = |change: &ChangeFacts| {
        map([
            ("Name", text(&change.image)),
            ("Alias", text(&change.alias)),
            ("OldTag", text(&change.old_tag)),
            ("NewTag", text(&change.new_tag)),
        ])
    };
    let facts = map([
        ("Images", list(facts.changes.iter().map(image))),
        ("SHA256", text(&facts.sha256())),
        ("AppName", text(&facts.application)),
        ("AppNamespace", text(&facts.namespace)),
        ("TargetKey", text(&facts.target_key)),
    ]);
    Seen { facts, texts: BTreeSet::new() }
}

/// A change; where its labels stand in memory is added to `texts`.
fn message_change(change: &ChangeFacts, texts: &mut BTreeSet<usize>) -> Value {
    let labels: Arc<BTreeMap<Arc<str>, Value>> =
        Arc::new(change.labels.iter().map(|(key, value)| (key.as_str().into(), text(value))).collect());
    texts.insert(Arc::as_ptr(&labels).addr());
    map([
        ("Image", text(&change.image)),
        ("Alias", text(&change.alias)),
        ("OldTag", text(&change.old_tag)),
        ("NewTag", text(&change.new_tag)),
        ("OldDigest", text(&change.old_digest)),
        ("NewDigest", text(&change.new_digest)),
        ("Labels", Value::Map(labels)),
    ])
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::List(items.collect())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Arc::new(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(changes: &[(&str, &str, &str)]) -> Facts {
        let change = |(image, old, new): &(&str, &str, &str)| ChangeFacts {
            image: (*image).to_owned(),
            old_tag: (*old).to_owned(),
            new_tag: (*new).to_owned(),
            ..ChangeFacts::default()
        };
        Facts {
            application: "web".to_owned(),
            namespace: "argocd".to_owned(),
            policy: "argocd/web".to_owned(),
            target_key: "0123abcd".to_owned(),
            changes: changes.iter().map(change).collect(),
        }
    }

    #[test]
    fn the_hash_is_that_of_existing_installations() {
        let facts = facts(&[("foo/bar", "1.0", "1.1")]);
        assert_eq!(facts.sha256(), "0fcc2782543e4bb067c174c21bf44eb947f3e55c0d62c403e359c1c209cbd041");
        let branch = facts.branch("image-updater-{{ .TargetKey }}-{{ .SHA256 }}");
        assert_eq!(
            branch.as_deref(),
            Ok(concat!("image-updater-0123abcd-", "0fcc2782543e4bb067c174c21bf44eb947f3e55c0d62c403e359c1c209cbd041"))
        );
    }

    #[test]
    fn the_built_in_message_is_the_known_one() {
        let facts = facts(&[("foo/bar", "1.0", "1.1"), ("bar/foo", "", "2.0")]);
        insta::assert_snapshot!(facts.message(DEFAULT_MESSAGE).unwrap_or_default(), @"
        build: automatic update of web

        updates image foo/bar tag '1.0' to '1.1'
        updates image bar/foo tag '' to '2.0'
        ");
    }

    #[test]
    fn templates_of_existing_installations_render_the_same() {
        let facts = facts(&[("foo/bar", "1.0", "1.1"), ("bar/foo", "1.0", "2.0")]);
        let branch = "{{ range $index, $image := .Images }}{{ if $index }}_{{ end }}{{ $image.Name }}-{{ $image.NewTag }}{{ end }}";
        insta::assert_snapshot!(facts.branch(branch).unwrap_or_default(), @"foo/bar-1.1_bar/foo-2.0");
        let message = "{{ len .AppChanges }} for {{ printf \"%s/%s\" .AppNamespace .AppName }}{{ range .AppChanges }}\n- {{ .Image }}{{ with index .Labels \"team\" }} by {{ . }}{{ end }}{{ end }}";
        insta::assert_snapshot!(facts.message(message).unwrap_or_default(), @"
        2 for argocd/web
        - foo/bar
        - bar/foo
        ");
    }

    #[test]
    fn labels_are_told_by_name_or_by_key_and_nothing_where_there_is_none() {
        let mut facts = facts(&[("foo/bar", "1.0", "1.1"), ("bar/foo", "1.0", "2.0")]);
        let labels = [("team", "web"), ("org.opencontainers.image.revision", "0123abcd")];
        facts.changes[0].labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let message = "{{ range .AppChanges }}{{ .Labels.team }}/{{ index .Labels \"org.opencontainers.image.revision\" }};{{ end }}";
        assert_eq!(facts.message(message).as_deref(), Ok("web/0123abcd;/;"));
        assert_eq!(check_message(message), Ok(()), "a policy with it can be read");
        for message in [
            "{{ range .AppChanges }}{{ $labels := .Labels }}{{ $labels.team }};{{ end }}",
            "{{ range .AppChanges }}{{ with .Labels }}{{ .team }}{{ end }};{{ end }}",
            "{{ range .Applications }}{{ range .Changes }}{{ .Labels.team }};{{ end }}{{ end }}",
        ] {
            assert_eq!(facts.message(message).as_deref(), Ok("web;;"), "{message}");
        }
        facts.changes[1].labels.insert("size".to_owned(), "small".to_owned());
        for (message, made) in [
            ("{{ range .AppChanges }}{{ with .Labels }}{{ .team }}{{ end }};{{ end }}", "web;;"),
            (
                "{{ range .AppChanges }}{{ len .Labels }}{{ .Labels.team }}{{ range $k, $v := .Labels }}{{ end }};{{ end }}",
                "2web;1;",
            ),
            (
                "{{ range .AppChanges }}{{ .Labels.none }}{{ range $key, $_ := .Labels }}{{ $key }},{{ end }};{{ end }}",
                "org.opencontainers.image.revision,team,;size,;",
            ),
        ] {
            assert_eq!(facts.message(message).as_deref(), Ok(made), "{message}");
        }
    }

    #[test]
    fn a_template_that_fits_real_facts_can_be_read() {
        for message in [
            "{{ range .AppChanges }}{{ slice .NewTag 0 7 }}{{ slice .NewDigest 7 19 }}{{ end }}",
            "{{ range .AppChanges }}{{ slice (index .Labels \"org.opencontainers.image.revision\") 0 7 }}{{ end }}",
            "{{ range .AppChanges }}{{ with .Labels }}{{ .team }}{{ slice .revision 0 40 }}{{ end }}{{ end }}",
            "{{ (index .AppChanges 1).Image }} and {{ (index .AppChanges 2).Image }}",
            "{{ if eq (len .AppChanges) 1 }}{{ (index .AppChanges 0).Image }}{{ else }}{{ len .AppChanges }}{{ end }}",
        ] {
            assert_eq!(check_message(message), Ok(()), "{message}");
        }
        assert_eq!(check_branch("up{{ range .Images }}-{{ slice .NewTag 0 7 }}{{ end }}"), Ok(()));
        for message in
            ["{{ if false }}{{ shout .AppName }}{{ end }}", "{{ with $.AppChange }}{{ end }}", "{{ .AppName.Length }}"]
        {
            assert!(check_message(message).is_err(), "{message}");
        }
    }

    #[test]
    fn several_applications_are_told_together() {
        let (one, mut other) = (facts(&[("org/web", "1.0", "1.1")]), facts(&[("org/api", "2.0", "2.1")]));
        other.application = "api".to_owned();
        let say =
            |template: &str| Facts::message_of(&[&one, &other], template).unwrap_or_else(|error| error.to_string());
        let template = "{{ .AppName }} of {{ .Policy }}{{ range .Applications }}; {{ .Namespace }}/{{ .Name }}{{ range .Changes }} {{ .Image }}{{ end }}{{ end }}";
        assert_eq!(say(template), "2 applications of argocd/web; argocd/web org/web; argocd/api org/api");
        assert_eq!(say("{{ range .AppChanges }}{{ .NewTag }} {{ end }}"), "1.1 2.1 ");
    }

    #[test]
    fn what_no_template_can_mean_is_refused() {
        let say =
            |template: &str| check_message(template).map_or_else(|error| error.to_string(), |()| "taken".to_owned());
        insta::assert_snapshot!(say("{{ .AppNmae }}"), @"the template cannot be used: map has no entry for key: AppNmae");
        insta::assert_snapshot!(say("{{ .AppName | shout }}"), @"the template cannot be used: undefined function: shout");
        insta::assert_snapshot!(say("{{ range $i, $_ := .AppName }}{{ end }}"), @"the template cannot be used: cannot range over string");
        insta::assert_snapshot!(say("{{ if }}"), @"the template cannot be used: template: 1:9: empty command");
        let big =
            "{{ define \"a\" }}".to_owned() + &"x".repeat(4000) + "{{ end }}" + &"{{ template \"a\" }}".repeat(100);
        insta::assert_snapshot!(say(&big), @"the template cannot be used: it makes more than 262144 bytes of text");
        insta::assert_snapshot!(say(&"x".repeat(100_000)), @"the template cannot be used: it is longer than 65536 bytes");
    }

    #[test]
    fn every_template_ends() {
        // What is not bounded does not end.
        let say = |template: &str| check_message(template).map_or_else(|error| error.cause, |()| "taken".to_owned());
        let doubling = |number: usize| {
            let next = number + 1;
            format!(
                "{{{{ define \"a{number}\" }}}}{{{{ template \"a{next}\" . }}}}{{{{ template \"a{next}\" . }}}}{{{{ end }}}}"
            )
        };
        let doubled =
            (0..40).map(doubling).collect::<String>() + "{{ define \"a40\" }}{{ end }}{{ template \"a0\" . }}";
        insta::assert_snapshot!(say(&doubled), @"it takes more than 100000 steps");
        insta::assert_snapshot!(say("{{ range 1000000000 }}{{ end }}"), @"it takes more than 100000 steps");
        insta::assert_snapshot!(say("{{ range 20000 }}{{ range 20000 }}{{ end }}{{ end }}"), @"it takes more than 100000 steps");
        let nested = "{{ range $.AppChanges }}{{ template \"a\" $ }}{{ template \"a\" $ }}{{ end }}";
        insta::assert_snapshot!(say(&format!("{{{{ define \"a\" }}}}{nested}{{{{ end }}}}{nested}")), @"recursion limit exceeded");
        insta::assert_snapshot!(say("{{ printf \"%9999999d\" 1 }}"), @"execution error: printf pads to 65535 characters, more than 8192");
        insta::assert_snapshot!(say("{{ printf \"%*d\" 100000000 1 }}"), @"execution error: printf pads to 65535 characters, more than 8192");
        insta::assert_snapshot!(say(&format!("{{{{ printf \"{}\" 1 }}}}", "%60d".repeat(1000))), @"execution error: printf pads to 60000 characters, more than 8192");
        insta::assert_snapshot!(say("{{ range 20000 }}{{ $x := printf \"%8000d\" 1 }}{{ end }}"), @"it takes more than 100000 steps");
        insta::assert_snapshot!(say("{{ $x := \"aaaaaaaa\" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}"), @"execution error: print gets 16384 bytes of text, more than 8192");
        insta::assert_snapshot!(say("{{ $x := \"<<<<<<<<\" }}{{ range 30 }}{{ $x = html $x }}{{ end }}{{ len $x }}"), @"taken");
        let long = format!(
            "{{{{ $x := \"{}\" }}}}{{{{ range 100000 }}}}{{{{ $y := eq $x $x }}}}{{{{ end }}}}",
            "a".repeat(60_000)
        );
        insta::assert_snapshot!(say(&long), @"it takes more than 100000 steps");
        let deep = "{{ if true }}".repeat(90)
            + "{{ range .AppChanges }}{{ template \"a\" $ }}{{ end }}"
            + &"{{ end }}".repeat(90);
        insta::assert_snapshot!(say(&format!("{{{{ define \"a\" }}}}{deep}{{{{ end }}}}{{{{ template \"a\" . }}}}")), @"recursion limit exceeded");
        insta::assert_snapshot!(say(&"{{ if true }}".repeat(4000)), @"template: 0:0: template nesting depth exceeded 100");
        insta::assert_snapshot!(say(&format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000))), @"template: 0:0: template nesting depth exceeded 100");
        let widest = (0..200)
            .map(|_| "{{ range .AppChanges }}{{ printf \"%s %s\" .Image .NewTag }}{{ end }}\n")
            .collect::<String>();
        insta::assert_snapshot!(say(&widest), @"taken");
    }
}
