//! Go templates of users: commit messages and branch names, with the fields that `argocd-image-updater` knows, and ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use gotmpl::{MissingKey, Template, Value};
use sha2::{Digest as _, Sha256};

/// More turns of `range` than any message needs.
const MAXIMUM_TURNS: u64 = 20_000;
/// More text than any message needs, in bytes.
const MAXIMUM_BYTES: usize = 256 * 1024;

/// More text than one call of a function needs, in bytes.
const MAXIMUM_ARGUMENTS: usize = 8 * 1024;
/// The functions of Go templates that make text.
const MAKERS: [&str; 6] = ["print", "printf", "println", "html", "js", "urlquery"];

/// The message that is used where the user gives none.
pub const DEFAULT_MESSAGE: &str = "build: automatic update of {{ .AppName }}\n\n{{ range .AppChanges }}updates image {{ .Image }} tag '{{ .OldTag }}' to '{{ .NewTag }}'\n{{ end }}";

/// One change, as templates see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeFacts {
    /// The image's path, without the registry.
    pub image: String,
    /// Its alias, or nothing.
    pub alias: String,
    /// What was there: the digest where it names one, else the tag; or nothing.
    pub old_tag: String,
    /// What is written: the digest where it names one, else the tag.
    pub new_tag: String,
    /// The digest that was there, or nothing.
    pub old_digest: String,
    /// The digest that is written, or nothing.
    pub new_digest: String,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
}

/// What templates see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The Application's name.
    pub application: String,
    /// Its namespace.
    pub namespace: String,
    /// The policy, `namespace/name`.
    pub policy: String,
    /// What tells destinations apart: eight hexadecimal digits.
    pub target_key: String,
    /// The changes, in the policy's order.
    pub changes: Vec<ChangeFacts>,
}

/// Why a template says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template cannot be used: {cause}")]
pub struct TemplateError {
    /// The cause, in the words of the template engine.
    pub cause: String,
}

impl Facts {
    /// Facts that no policy has, to try a template with.
    pub fn sample() -> Self {
        let (digest, zeros) = (format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "0".repeat(64)));
        let change = ChangeFacts {
            image: "org/app".to_owned(),
            alias: "app".to_owned(),
            old_tag: "1.0.0".to_owned(),
            new_tag: "1.0.1".to_owned(),
            old_digest: zeros,
            new_digest: digest,
            labels: BTreeMap::new(),
        };
        let text = str::to_owned;
        Self {
            application: text("web"),
            namespace: text("argocd"),
            policy: text("argocd/web"),
            target_key: text("0123abcd"),
            changes: vec![change],
        }
    }

    /// The hash that tells one set of changes from another: of `name-old-new,` for each, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for ChangeFacts { image, old_tag, new_tag, .. } in &self.changes {
            hash.update(format!("{image}-{old_tag}-{new_tag},"));
        }
        hash.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// The text that `template` makes for a commit or a pull request.
    ///
    /// # Errors
    /// When it is no template, asks for a field that is not there, or makes too much text.
    pub fn message(&self, template: &str) -> Result<String, TemplateError> {
        let named = named_labels(template);
        let changes = list(self.changes.iter().map(|change| message_change(change, &named)));
        let application = map([
            ("Name", text(&self.application)),
            ("Namespace", text(&self.namespace)),
            ("Changes", changes.clone()),
        ]);
        let facts = map([
            ("AppName", text(&self.application)),
            ("AppNamespace", text(&self.namespace)),
            ("AppChanges", changes),
            ("Applications", list([application].into_iter())),
            ("Policy", text(&self.policy)),
            ("SHA256", text(&self.sha256())),
            ("TargetKey", text(&self.target_key)),
        ]);
        render(template, &facts)
    }

    /// The text that `template` makes for the name of a branch.
    ///
    /// # Errors
    /// As [`Facts::message`].
    pub fn branch(&self, template: &str) -> Result<String, TemplateError> {
        let image = |change: &ChangeFacts| {
            map([
                ("Name", text(&change.image)),
                ("Alias", text(&change.alias)),
                ("OldTag", text(&change.old_tag)),
                ("NewTag", text(&change.new_tag)),
            ])
        };
        let facts = map([
            ("Images", list(self.changes.iter().map(image))),
            ("SHA256", text(&self.sha256())),
            ("AppName", text(&self.application)),
            ("AppNamespace", text(&self.namespace)),
            ("TargetKey", text(&self.target_key)),
        ]);
        render(template, &facts)
    }
}

/// The labels that a template names as fields (`.Labels.team`).
fn named_labels(template: &str) -> BTreeSet<&str> {
    let inside = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let named = template.split(".Labels.").skip(1);
    named.filter_map(|rest| rest.split(|character| !inside(character)).next()).filter(|name| !name.is_empty()).collect()
}

/// A label that the template names, and that the image has not, is empty: whether it is there is no matter of the template.
fn message_change(change: &ChangeFacts, named: &BTreeSet<&str>) -> Value {
    let missing = named.iter().filter(|name| !change.labels.contains_key(**name)).map(|name| (*name, text("")));
    let labels = change.labels.iter().map(|(key, value)| (key.as_str(), text(value))).chain(missing);
    map([
        ("Image", text(&change.image)),
        ("Alias", text(&change.alias)),
        ("OldTag", text(&change.old_tag)),
        ("NewTag", text(&change.new_tag)),
        ("OldDigest", text(&change.old_digest)),
        ("NewDigest", text(&change.new_digest)),
        ("Labels", map_of(labels)),
    ])
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::List(items.collect())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    map_of(entries.into_iter())
}

fn map_of<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(Arc::new(entries.map(|(key, value)| (key.into(), value)).collect()))
}

fn render(template: &str, facts: &Value) -> Result<String, TemplateError> {
    let error = |error: gotmpl::TemplateError| TemplateError { cause: error.to_string() };
    let mut engine = Template::new("").missing_key(MissingKey::Error).max_range_iters(MAXIMUM_TURNS);
    for name in MAKERS {
        engine = engine.func(name, move |arguments| made(name, arguments));
    }
    let template = engine.func("index", indexed).parse(template);
    let mut output = Bounded(String::new());
    match template.map_err(error)?.execute_fmt(&mut output, facts) {
        Err(_) if output.0.len() >= MAXIMUM_BYTES => {
            Err(TemplateError { cause: format!("it makes more than {MAXIMUM_BYTES} bytes of text") })
        }
        Err(cause) => Err(error(cause)),
        Ok(()) => Ok(output.0),
    }
}

/// Go's `index`. What a map of texts has not is the empty text, as in Go.
fn indexed(arguments: &[Value]) -> gotmpl::Result<Value> {
    let call = |arguments: &[Value]| match arguments {
        [] => Err(gotmpl::TemplateError::Exec("index gets no arguments".to_owned())),
        [first, keys @ ..] => keys.iter().try_fold(first.clone(), |value, key| value.index(key)),
    };
    Ok(match call(arguments)? {
        Value::Nil => text(""),
        value => value,
    })
}

/// A function of Go that makes text, on so much text at most that its use again and again stays harmless.
fn made(name: &str, arguments: &[Value]) -> gotmpl::Result<Value> {
    let bytes: usize = arguments.iter().map(|argument| argument.to_string().len()).sum();
    if bytes > MAXIMUM_ARGUMENTS {
        let cause = format!("{name} gets {bytes} bytes of text, more than {MAXIMUM_ARGUMENTS}");
        return Err(gotmpl::TemplateError::Exec(cause));
    }
    let places = (0..arguments.len()).fold(String::new(), |places, index| places + &format!(" (index . {index})"));
    let call = Template::new("").parse(&format!("{{{{ {name}{places} }}}}"))?;
    Ok(Value::String(call.execute_to_string(&Value::List(arguments.into()))?.into()))
}

/// Text that does not grow without end.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAXIMUM_BYTES.saturating_sub(self.0.len());
        if text.len() > room {
            self.0.extend(std::iter::repeat_n(' ', room));
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
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
        Facts { changes: changes.iter().map(change).collect(), ..Facts::sample() }
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
        assert_eq!(Facts::sample().message(message).as_deref(), Ok("/;"), "a policy with it can be read");
    }

    #[test]
    fn what_no_template_can_mean_is_refused() {
        let say = |template: &str| {
            Facts::sample()
                .message(template)
                .map_or_else(|error| error.to_string(), |text| format!("made {} bytes", text.len()))
        };
        insta::assert_snapshot!(say("{{ .AppNmae }}"), @"the template cannot be used: map has no entry for key: AppNmae");
        insta::assert_snapshot!(say("{{ range .AppChanges }}"), @"made 0 bytes");
        insta::assert_snapshot!(say("{{ .AppName | shout }}"), @"the template cannot be used: undefined function: shout");
        let doubled = "{{ $x := \"0123456789\" }}{{ range $i, $_ := \"0123456789012345678901234567890\" }}{{ $x = print $x $x }}{{ end }}";
        insta::assert_snapshot!(say(doubled), @"the template cannot be used: cannot range over string");
        insta::assert_snapshot!(say(&format!("{{{{ range $i, $_ := \"{0}\" }}}}{{{{ range $j, $_ := \"{0}\" }}}}x{{{{ end }}}}{{{{ end }}}}", "a".repeat(200))), @"the template cannot be used: cannot range over string");
        let big = "{{ define \"a\" }}".to_owned()
            + &"x".repeat(4000)
            + "{{ end }}{{ range .AppChanges }}"
            + &"{{ template \"a\" }}".repeat(100)
            + "{{ end }}";
        insta::assert_snapshot!(say(&big), @"the template cannot be used: it makes more than 262144 bytes of text");
    }
}
