//! The annotations of argocd-image-updater, and the policy that they mean.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests read tables and fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use fairlead::api::annotations::{ANNOTATIONS, PREFIX, Support};
use fairlead::api::{ImageUpdatePolicy, ImageUpdatePolicySpec};
use fairlead::lower;
use fairlead::lower::annotations::{Translated, key_of, translate};
use fairlead::model::{ApplicationId, Reason, Severity};

const TABLE: &str = "tests/data/annotations/table.txt";

/// One row: annotations, and what they mean.
struct Row {
    title: String,
    annotations: BTreeMap<String, String>,
    expected: String,
}

fn table() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE)).unwrap()
}

fn rows(table: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix("== ") {
            let (title, annotations) = (title.to_owned(), BTreeMap::new());
            rows.push(Row { title, annotations, expected: String::new() });
            continue;
        }
        let row = rows.last_mut().expect("a title");
        if ["-> ", "!! ", ".. "].iter().any(|mark| line.starts_with(mark)) {
            writeln!(row.expected, "{line}").unwrap();
            continue;
        }
        let (key, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let value = if value.starts_with('"') { serde_json::from_str(value).unwrap() } else { value.to_owned() };
        let key = key.strip_prefix('/').map_or_else(|| format!("{PREFIX}{key}"), str::to_owned);
        assert!(row.annotations.insert(key, value).is_none(), "{}: a key twice", row.title);
    }
    rows
}

fn translated(annotations: &BTreeMap<String, String>) -> Translated {
    translate(&ApplicationId::new("argocd", "app"), annotations)
}

fn shown(found: &Translated) -> String {
    let Translated { spec, problems, notes } = found;
    let mut text = String::new();
    match spec {
        None => text.push_str("-> nothing\n"),
        Some(spec) => {
            let ImageUpdatePolicySpec {
                suspend,
                dry_run,
                interval,
                applications,
                defaults,
                images,
                write_back,
                schedule,
            } = spec;
            assert!(!suspend && !dry_run && schedule.is_none() && interval == "2m");
            assert_eq!(serde_json::to_string(applications).unwrap(), r#"[{"name":"app"}]"#);
            if let Some(defaults) = defaults {
                writeln!(text, "-> defaults {}", serde_json::to_string(defaults).unwrap()).unwrap();
            }
            for image in images {
                writeln!(text, "-> image {}", serde_json::to_string(image).unwrap()).unwrap();
            }
            if let Some(write_back) = write_back {
                writeln!(text, "-> writeBack {}", serde_json::to_string(write_back).unwrap()).unwrap();
            }
        }
    }
    let said = |problem: &fairlead::model::Problem| {
        let words = problem.to_string();
        let place = problem.place.as_deref().unwrap();
        let words = words.strip_prefix(place).unwrap().strip_prefix(": ").unwrap().to_owned();
        format!("{} {}: {words}", problem.reason, key_of(problem).expect("a key of ours"))
    };
    for (mark, problems) in [("!!", problems), ("..", notes)] {
        for problem in problems {
            writeln!(text, "{mark} {}", said(problem)).unwrap();
        }
    }
    text
}

#[test]
fn every_row_of_the_table_holds() {
    let table = table();
    let rows = rows(&table);
    if std::env::var_os("FAIRLEAD_ACCEPT_TABLE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
        std::fs::write(path, accepted(&table, &rows)).unwrap();
    }
    assert!(rows.len() >= 250, "{} rows", rows.len());
    let titles: BTreeSet<&str> = rows.iter().map(|row| row.title.as_str()).collect();
    assert_eq!(titles.len(), rows.len(), "two rows have one title");
    let wrong: Vec<String> = rows
        .iter()
        .map(|row| (row, shown(&translated(&row.annotations))))
        .filter(|(row, found)| *found != row.expected)
        .map(|(row, found)| format!("== {}\n{}--- but it is\n{found}", row.title, row.expected))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table with what is found in place of what was expected.
fn accepted(table: &str, rows: &[Row]) -> String {
    let mut text = String::new();
    let mut row = rows.iter();
    let mut open: Option<&Row> = None;
    let close = |text: &mut String, open: Option<&Row>| {
        if let Some(row) = open {
            text.push_str(&shown(&translated(&row.annotations)));
            text.push('\n');
        }
    };
    for line in table.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("== ") || line.starts_with('#') {
            close(&mut text, open.take());
        }
        if line.starts_with("== ") {
            open = row.next();
        }
        if ["-> ", "!! ", ".. "].iter().all(|mark| !line.starts_with(mark)) {
            writeln!(text, "{line}").unwrap();
        }
    }
    close(&mut text, open);
    text.truncate(text.trim_end().len());
    text + "\n"
}

#[test]
fn every_problem_points_at_a_key_and_says_what_stands_there_and_what_to_do() {
    for Row { title, annotations, .. } in rows(&table()) {
        let Translated { problems, notes, .. } = translated(&annotations);
        for problem in problems.iter().chain(&notes) {
            let key = key_of(problem).unwrap_or_else(|| panic!("{title}: {problem} points at no key"));
            let value = annotations.get(&format!("{PREFIX}{key}")).unwrap_or_else(|| panic!("{title}: no `{key}`"));
            assert!(problem.hint.is_some(), "{title}: {problem}");
            // A source of credentials may be a password in the wrong place.
            if !key.ends_with("pull-secret")
                && !problem.message.contains("holds a password")
                && problem.reason != Reason::UnreadSetting
            {
                let quoted = problem.message.split('`').skip(1).step_by(2).map(str::trim);
                let shows = quoted.into_iter().any(|quote| value.contains(quote.trim_end_matches('…')));
                assert!(shows || value.trim().is_empty(), "{title}: {problem}");
            }
        }
        let stalled = |problem: &fairlead::model::Problem| problem.reason.severity() == Severity::Stalled;
        assert!(problems.iter().all(stalled), "{title}: {problems:?}");
        assert!(!notes.iter().any(stalled), "{title}: {notes:?}");
    }
}

#[test]
fn every_key_has_rows_in_which_it_counts() {
    let rows = rows(&table());
    for annotation in ANNOTATIONS {
        let suffix = format!(".{}", annotation.key);
        // `x.helm.image-name` ends like the older `x.image-name`, too.
        let is_of = |key: &str| {
            let longer = ANNOTATIONS.iter().any(|other| other.key.ends_with(&suffix) && key.ends_with(other.key));
            key == annotation.key || key.ends_with(&suffix) && !longer
        };
        let used = rows.iter().filter(|row| row.annotations.keys().any(|key| is_of(key.trim_start_matches(PREFIX))));
        let (mut seen, mut fine, mut wrong) = (0, 0, 0);
        for row in used {
            let found = translated(&row.annotations);
            let named = found.problems.iter().chain(&found.notes).any(|problem| key_of(problem).is_some_and(is_of));
            seen += 1;
            if named { wrong += 1 } else { fine += 1 }
        }
        match annotation.support {
            Support::Refused => assert!(wrong >= 1 && fine == 0, "{}: {seen} rows", annotation.key),
            _ if annotation.key == "tag-match" => assert!(wrong >= 3, "{}: it is always noted", annotation.key),
            _ => assert!(fine >= 2 && wrong >= 2, "{}: {fine} of {seen} rows are fine", annotation.key),
        }
    }
}

/// What comes out can be read again, and whatever is in it has a meaning.
#[test]
fn every_policy_that_comes_out_is_understood() {
    for Row { title, annotations, .. } in rows(&table()) {
        let Some(spec) = translated(&annotations).spec else { continue };
        let object = |spec| {
            let mut object = ImageUpdatePolicy::new("app", spec);
            object.metadata.namespace = Some("argocd".to_owned());
            object
        };
        let yaml = serde_saphyr::to_string(&object(spec.clone())).unwrap();
        let read: ImageUpdatePolicy =
            serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{title}: {error}\n{yaml}"));
        assert_eq!(read.spec, spec, "{title}");
        let lowered = lower::policy(&read);
        let problems: Vec<_> =
            lowered.problems.iter().filter(|problem| problem.reason != Reason::NotSupportedYet).collect();
        assert!(problems.is_empty(), "{title}: {problems:?}");
    }
}

#[test]
fn the_same_annotations_mean_the_same_and_are_left_as_they_are() {
    for row in rows(&table()) {
        let before = row.annotations.clone();
        assert_eq!(translated(&row.annotations), translated(&row.annotations), "{}", row.title);
        assert_eq!(row.annotations, before);
    }
}

#[test]
fn a_password_in_the_url_of_a_repository_is_not_repeated() {
    let annotations = [("image-list", "nginx"), ("git-repository", "https://me:hunter2@git.example/deploy")];
    let annotations = annotations.map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned())).into();
    let found = shown(&translated(&annotations));
    assert!(found.contains("`git.example/deploy` is not read") && !found.contains("hunter2"), "{found}");
}

#[test]
fn other_namespaces_are_those_of_the_application() {
    let annotations: BTreeMap<String, String> = [
        ("image-list", "nginx"),
        ("pull-secret", "pullsecret:team/pull"),
        ("write-back-method", "git:secret:team/git"),
    ]
    .map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
    .into();
    assert_eq!(translate(&ApplicationId::new("team", "app"), &annotations).problems, []);
    assert_eq!(translate(&ApplicationId::new("argocd", "app"), &annotations).problems.len(), 2);
}

mod property {
    //! Whatever both spellings can say, they say alike.

    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Map, Value, json};

    /// A value in both spellings.
    type Both = (String, Value);

    #[derive(Debug, Clone, Default)]
    struct Settings {
        /// By the key of an annotation, and by the field of a policy.
        values: Vec<(&'static str, &'static str, Both)>,
    }

    #[derive(Debug, Clone)]
    struct Image {
        name: &'static str,
        settings: Settings,
        target: Option<(Vec<(&'static str, &'static str)>, Value)>,
        version: usize,
    }

    #[derive(Debug, Clone)]
    struct Draft {
        base: Settings,
        images: Vec<Image>,
        write_back: Option<(Vec<(&'static str, &'static str)>, Value)>,
    }

    const STRATEGIES: [(&str, &str); 8] = [
        ("semver", "SemVer"),
        ("newest-build", "NewestBuild"),
        ("Latest", "NewestBuild"),
        ("alphabetical", "Alphabetical"),
        ("name", "Alphabetical"),
        ("digest", "Digest"),
        ("calver", "CalVer"),
        ("numeric", "Numeric"),
    ];

    fn strategy() -> impl Strategy<Value = Both> {
        select(&STRATEGIES[..]).prop_map(|(older, today)| (older.to_owned(), json!(today)))
    }

    fn allow() -> impl Strategy<Value = Both> {
        select(&["any", "regexp:^1\\.[0-9]+$", "^v|^w", " regexp:prod "][..]).prop_map(|text| {
            let regex = text.trim().trim_start_matches("regexp:");
            (text.to_owned(), if regex == "any" { json!({ "any": true }) } else { json!({ "regex": regex }) })
        })
    }

    fn ignore() -> impl Strategy<Value = Both> {
        prop::collection::vec(select(&["latest", "*-rc*", "1.0", "v[0-9]", "dev?"][..]), 1..4)
            .prop_map(|globs| (globs.join(" , "), json!(globs)))
    }

    fn secret() -> impl Strategy<Value = Both> {
        let texts = ["pull", "pullsecret:argocd/pull", "reg.example=pullsecret:argocd/pull"];
        select(texts.to_vec()).prop_map(|text| (text.to_owned(), json!({ "name": "pull" })))
    }

    fn force() -> impl Strategy<Value = Both> {
        select(&[("true", true), ("F", false), (" 1 ", true)][..])
            .prop_map(|(text, force)| (text.to_owned(), json!(force)))
    }

    fn platforms() -> impl Strategy<Value = Both> {
        prop::collection::vec(select(&["linux/amd64", "linux/arm64/v8"][..]), 1..3)
            .prop_map(|platforms| (platforms.join(","), json!(platforms)))
    }

    fn settings() -> impl Strategy<Value = Settings> {
        let maybe = |key: &'static str, field: &'static str, both: BoxedStrategy<Both>| {
            prop::option::of(both).prop_map(move |both| both.map(|both| (key, field, both)))
        };
        (
            maybe("update-strategy", "strategy", strategy().boxed()),
            maybe("allow-tags", "allowTags", allow().boxed()),
            maybe("ignore-tags", "ignoreTags", ignore().boxed()),
            maybe("pull-secret", "pullSecret", secret().boxed()),
            maybe("force-update", "forceUpdate", force().boxed()),
        )
            .prop_map(|(a, b, c, d, e)| Settings { values: [a, b, c, d, e].into_iter().flatten().collect() })
    }

    type Said = (Vec<(&'static str, &'static str)>, Value);

    fn target() -> impl Strategy<Value = Said> {
        select(vec![
            (vec![("helm.image-tag", "x.tag")], json!({ "helm": { "tag": "x.tag" } })),
            (vec![("helm.image-name", "x.name")], json!({ "helm": { "name": "x.name" } })),
            (
                vec![("helm.image-name", "x.name"), ("helm.image-tag", " x.tag ")],
                json!({ "helm": { "name": "x.name", "tag": "x.tag" } }),
            ),
            (vec![("helm.image-spec", "x.image"), ("helm.image-tag", "t")], json!({ "helm": { "spec": "x.image" } })),
            (vec![("kustomize.image-name", "old/name")], json!({ "kustomize": { "name": "old/name" } })),
        ])
    }

    fn write_back() -> impl Strategy<Value = Said> {
        select(vec![
            (vec![("write-back-method", "argocd")], json!({ "method": "Application" })),
            (vec![("write-back-method", "git")], json!({ "method": "Git", "git": { "credentials": "ArgoCD" } })),
            (
                vec![
                    ("write-back-method", "git:secret:argocd/creds"),
                    ("write-back-target", "helmvalues:/deploy/values.yaml"),
                    ("git-branch", "main:next-{{.SHA256}}"),
                    ("git-repository", "https://git.example/deploy"),
                ],
                json!({ "method": "Git", "git": {
                    "secretRef": { "name": "creds" }, "target": "HelmValues", "path": "/deploy/values.yaml", "branch": "main",
                    "writeBranch": "next-{{.SHA256}}", "repository": "https://git.example/deploy",
                } }),
            ),
            (
                vec![("write-back-method", "git:repocreds"), ("write-back-target", "kustomization:../base")],
                json!({ "method": "Git", "git": { "credentials": "ArgoCD", "target": "Kustomization", "path": "../base" } }),
            ),
        ])
    }

    const NAMES: [&str; 4] = ["nginx", "ghcr.io/org/app", "reg.example:5000/team/app", "docker.io/library/redis"];

    fn image() -> impl Strategy<Value = Image> {
        let platforms = prop::option::of(platforms());
        (select(&NAMES[..]), settings(), platforms, prop::option::of(target()), 0_usize..8).prop_map(
            |(name, mut settings, platforms, target, version)| {
                settings.values.extend(platforms.map(|both| ("platforms", "platforms", both)));
                Image { name, settings, target, version }
            },
        )
    }

    fn draft() -> impl Strategy<Value = Draft> {
        (settings(), prop::collection::vec(image(), 1..4), prop::option::weighted(0.3, write_back()))
            .prop_map(|(base, images, write_back)| Draft { base, images, write_back })
    }

    impl Settings {
        fn strategy(&self) -> Option<&str> {
            self.values.iter().find(|(key, ..)| *key == "update-strategy").and_then(|(.., (_, today))| today.as_str())
        }

        fn fields(&self) -> Map<String, Value> {
            self.values.iter().map(|(_, field, (_, value))| ((*field).to_owned(), value.clone())).collect()
        }
    }

    impl Draft {
        /// A constraint that the image's strategy can read.
        fn constraint(&self, image: &Image) -> Option<&'static str> {
            let strategy = image.settings.strategy().or_else(|| self.base.strategy()).unwrap_or("SemVer");
            match strategy {
                "Digest" => Some(["latest", "stable"][image.version % 2]),
                "CalVer" => [Some("2024"), Some(">=2024.01 <2025"), None][image.version % 3],
                "Numeric" => [Some(">=100"), None][image.version % 2],
                _ => [Some("~1.0"), Some(">=1 <2"), Some("^1 || ^2"), Some("1.x"), None][image.version % 5],
            }
        }

        fn annotations(&self) -> BTreeMap<String, String> {
            let mut all = BTreeMap::new();
            let mut add = |key: String, value: &str| all.insert(format!("{PREFIX}{key}"), value.to_owned());
            let mut list = Vec::new();
            for (index, image) in self.images.iter().enumerate() {
                let version = self.constraint(image).map(|version| format!(":{version}")).unwrap_or_default();
                list.push(format!("a{index}={}{version}", image.name));
                for (key, _, (text, _)) in &image.settings.values {
                    add(format!("a{index}.{key}"), text);
                }
                for (key, value) in image.target.iter().flat_map(|(keys, _)| keys) {
                    add(format!("a{index}.{key}"), value);
                }
            }
            add("image-list".to_owned(), &list.join(" , "));
            for (key, _, (text, _)) in &self.base.values {
                add((*key).to_owned(), text);
            }
            for (key, value) in self.write_back.iter().flat_map(|(keys, _)| keys) {
                add((*key).to_owned(), value);
            }
            all
        }

        fn policy(&self) -> String {
            let images = self.images.iter().enumerate().map(|(index, image)| {
                let mut fields = image.settings.fields();
                fields.insert("alias".to_owned(), json!(format!("a{index}")));
                fields.insert("image".to_owned(), json!(image.name));
                fields.extend(self.constraint(image).map(|constraint| ("constraint".to_owned(), json!(constraint))));
                fields.extend(image.target.iter().map(|(_, target)| ("target".to_owned(), target.clone())));
                Value::Object(fields)
            });
            let images: Vec<Value> = images.collect();
            let mut spec =
                json!({ "applications": [{ "name": "app" }], "images": images, "defaults": self.base.fields() });
            if let Some((_, write_back)) = &self.write_back {
                spec["writeBack"] = write_back.clone();
            }
            let (version, kind) = ("fairlead.dev/v1alpha1", "ImageUpdatePolicy");
            let metadata = json!({ "name": "app", "namespace": "argocd" });
            let object = json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec });
            serde_saphyr::to_string(&object).unwrap()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn both_spellings_mean_the_same(draft in draft()) {
            let Translated { spec, problems, .. } = translated(&draft.annotations());
            prop_assert_eq!(problems, []);
            let mut ours = ImageUpdatePolicy::new("app", spec.expect("a policy"));
            ours.metadata.namespace = Some("argocd".to_owned());
            let text = draft.policy();
            let theirs: ImageUpdatePolicy = serde_saphyr::from_str(&text).unwrap();
            let (one, other) = (lower::policy(&ours), lower::policy(&theirs));
            prop_assert_eq!(format!("{:#?}", one), format!("{:#?}", other), "{}", text);
            let git = |policy: &ImageUpdatePolicy| policy.spec.write_back.clone().and_then(|write_back| write_back.git);
            prop_assert_eq!(git(&ours), git(&theirs));
            prop_assert!(git(&ours).is_some() || one.policy.is_some());
        }

        #[test]
        fn no_text_breaks_the_translation(
            values in prop::collection::btree_map(
                select(vec!["image-list", "a.update-strategy", "a.allow-tags", "a.ignore-tags", "a.pull-secret", "a.platforms",
                    "a.force-update", "a.helm.image-name", "a.kustomize.image-name", "write-back-method", "write-back-target",
                    "git-branch", "a.tag-match", "", ".", "a.", "\u{e9}.x"]),
                prop_oneof!["[a=,:/@~<>|*. 1-]{0,20}", "\\PC{0,20}", Just("a=nginx".to_owned())],
                0..8,
            )
        ) {
            let annotations: BTreeMap<_, _> = values.iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.clone())).collect();
            let Translated { spec, problems, notes } = translated(&annotations);
            for problem in problems.iter().chain(&notes) {
                prop_assert!(key_of(problem).is_some_and(|key| values.contains_key(key)), "{}", problem);
            }
            if let Some(spec) = spec {
                let mut object = ImageUpdatePolicy::new("app", spec);
                object.metadata.namespace = Some("argocd".to_owned());
                let problems = lower::policy(&object).problems;
                prop_assert!(problems.iter().all(|problem| problem.reason == Reason::NotSupportedYet), "{problems:?}");
            }
        }
    }
}
