//! `ImageUpdater` resources of argocd-image-updater, and the policies that they mean.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::fmt::Write as _;

use fairlead::api::{Application, ImageUpdatePolicy, ImageUpdater};
use fairlead::lower;
use fairlead::lower::image_updater::{TranslatedUpdater, UpdaterPolicy, translate};
use fairlead::model::{Problem, Reason, Severity};

fn updater(spec: &str) -> ImageUpdater {
    let text = format!(
        "apiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\nmetadata: {{ name: fleet, namespace: argocd }}\nspec:\n{spec}"
    );
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// An Application; annotations are those of argocd-image-updater, without their prefix.
fn application(name: &str, team: &str, annotations: &[(&str, &str)]) -> Application {
    let prefixed =
        |(key, value): &(&str, &str)| (format!("argocd-image-updater.argoproj.io/{key}"), (*value).to_owned());
    let mut application = Application::default();
    application.metadata.name = Some(name.to_owned());
    application.metadata.namespace = Some("argocd".to_owned());
    application.metadata.labels = Some([("team".to_owned(), team.to_owned())].into());
    application.metadata.annotations = Some(annotations.iter().map(prefixed).collect());
    application
}

fn fleet() -> Vec<Application> {
    vec![
        application("web-1", "web", &[("image-list", "nginx:~1")]),
        application("web-2", "web", &[("image-list", "nginx:~1")]),
        application("web-prod", "web", &[("image-list", "nginx:~1.2"), ("write-back-method", "git")]),
        application("api", "api", &[]),
    ]
}

fn shown(spec: &str, applications: &[Application]) -> String {
    let found = translate(&updater(spec), applications);
    assert_eq!(found, translate(&updater(spec), applications));
    let TranslatedUpdater { policies, problems, notes, matched } = found;
    let mut text = String::new();
    for UpdaterPolicy { name, reference, spec } in policies {
        let mut value = serde_json::to_value(&spec).unwrap();
        let fields = value.as_object_mut().unwrap();
        fields.retain(|key, _| !matches!(key.as_str(), "suspend" | "dryRun" | "interval"));
        writeln!(text, "{name} of [{reference}] {value}").unwrap();
        let mut object = ImageUpdatePolicy::new(&name, spec);
        object.metadata.namespace = Some("argocd".to_owned());
        let understood = lower::policy(&object).problems;
        let understood: Vec<&Problem> =
            understood.iter().filter(|problem| problem.reason != Reason::NotSupportedYet).collect();
        assert!(understood.is_empty(), "{understood:?}");
    }
    let stalled = |problem: &&Problem| problem.reason.severity() == Severity::Stalled && problem.hint.is_some();
    assert_eq!(problems.iter().filter(stalled).count(), problems.len());
    assert_eq!(notes.iter().filter(stalled).count(), 0);
    for (mark, said) in [("!!", problems), ("..", notes)] {
        for problem in said {
            writeln!(text, "{mark} {}: {problem}", problem.reason).unwrap();
        }
    }
    write!(text, "matched {matched:?}").unwrap();
    text
}

#[test]
fn one_pattern_is_the_policys_own() {
    let spec = "
  applicationRefs:
  - namePattern: web-*
    labelSelectors: { matchLabels: { team: web } }
    images: [{ alias: nginx, imageName: 'nginx:~1' }]
";
    insta::assert_snapshot!(shown(spec, &[]), @r#"
    fleet of [0] {"applications":[{"name":"web-*","selector":{"matchLabels":{"team":"web"}}}],"images":[{"alias":"nginx","image":"nginx","constraint":"~1"}]}
    matched {}
    "#);
    insta::assert_snapshot!(shown(spec, &fleet()), @r#"
    fleet of [0] {"applications":[{"name":"web-*","selector":{"matchLabels":{"team":"web"}}}],"images":[{"alias":"nginx","image":"nginx","constraint":"~1"}]}
    matched {"web-1", "web-2", "web-prod"}
    "#);
}

#[test]
fn settings_are_inherited_field_by_field() {
    insta::assert_snapshot!(shown("
  commonUpdateSettings: { updateStrategy: newest-build, allowTags: 'regexp:^1', pullSecret: 'pullsecret:argocd/pull' }
  applicationRefs:
  - namePattern: api
    commonUpdateSettings: { allowTags: any, ignoreTags: [latest, ''], forceUpdate: true }
    images:
    - { alias: one, imageName: 'reg:5000/one:~1' }
    - { alias: two, imageName: 'two:>=1.0, <2', commonUpdateSettings: { updateStrategy: semver, ignoreTags: [], platforms: [linux/arm64] } }
    - { alias: three, imageName: 'three:latest', commonUpdateSettings: { updateStrategy: digest, forceUpdate: false } }
", &[]), @r#"
    fleet of [0] {"applications":[{"name":"api"}],"defaults":{"strategy":"NewestBuild","allowTags":{"any":true},"ignoreTags":["latest"],"forceUpdate":true,"pullSecret":{"name":"pull"}},"images":[{"alias":"one","image":"reg:5000/one","constraint":"~1"},{"alias":"two","image":"two","strategy":"SemVer","constraint":">=1.0, <2","ignoreTags":[],"platforms":["linux/arm64"]},{"alias":"three","image":"three","strategy":"Digest","constraint":"latest","forceUpdate":false}]}
    matched {}
    "#);
}

#[test]
fn the_highest_score_takes_an_application() {
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: '*', images: [{ alias: a, imageName: all }] }
  - { namePattern: 'web-*', images: [{ alias: a, imageName: web }] }
  - { namePattern: 'web-prod', images: [{ alias: a, imageName: prod }] }
", &fleet()), @r#"
    fleet-1 of [0] {"applications":[{"name":"api"}],"images":[{"alias":"a","image":"all"}]}
    fleet-2 of [1] {"applications":[{"name":"web-1"},{"name":"web-2"}],"images":[{"alias":"a","image":"web"}]}
    fleet-3 of [2] {"applications":[{"name":"web-prod"}],"images":[{"alias":"a","image":"prod"}]}
    .. AmbiguousText: spec.applicationRefs[0].namePattern: `*` is written as the names of the Applications that there are: spec.applicationRefs[2] may take some of them; add new Applications by hand, or use patterns that share none
    .. AmbiguousText: spec.applicationRefs[1].namePattern: `web-*` is written as the names of the Applications that there are: spec.applicationRefs[2] may take some of them; add new Applications by hand, or use patterns that share none
    matched {"api", "web-1", "web-2", "web-prod"}
    "#);
}

#[test]
fn what_is_left_to_no_known_application_is_named() {
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: 'web-[0-9]', images: [{ alias: a, imageName: web }] }
  - { namePattern: 'web-*', images: [{ alias: a, imageName: other }] }
", &[]), @"
    !! InvalidSelector: spec.applicationRefs[0].namePattern: no known Application is left to `web-[0-9]`, which cannot be a policy's own: a policy has no such pattern; give the Applications, too; their names can stand in the policy
    !! InvalidSelector: spec.applicationRefs[1].namePattern: no known Application is left to `web-*`, which cannot be a policy's own: spec.applicationRefs[0] may take some of them; give the Applications, too; their names can stand in the policy
    matched {}
    ");
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: 'web-[0-9]', images: [{ alias: a, imageName: web }] }
", &fleet()), @r#"
    fleet of [0] {"applications":[{"name":"web-1"},{"name":"web-2"}],"images":[{"alias":"a","image":"web"}]}
    .. AmbiguousText: spec.applicationRefs[0].namePattern: `web-[0-9]` is written as the names of the Applications that there are: a policy has no such pattern; add new Applications by hand, or use patterns that share none
    matched {"web-1", "web-2"}
    "#);
}

#[test]
fn annotations_count_where_they_are_asked_for() {
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: '*', useAnnotations: true }
  - { namePattern: 'a*', images: [{ alias: a, imageName: api }] }
", &fleet()), @r#"
    fleet-1 of [0] {"applications":[{"name":"web-1"},{"name":"web-2"}],"images":[{"image":"nginx","constraint":"~1"}]}
    fleet-2 of [0] {"applications":[{"name":"web-prod"}],"images":[{"image":"nginx","constraint":"~1.2"}],"writeBack":{"method":"Git","git":{"credentials":"ArgoCD"}}}
    fleet-3 of [1] {"applications":[{"name":"a*"}],"images":[{"alias":"a","image":"api"}]}
    matched {"api", "web-1", "web-2", "web-prod"}
    "#);
}

#[test]
fn applications_without_an_image_list_go_to_the_next_entry() {
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: 'api', useAnnotations: true }
  - { namePattern: 'a*', images: [{ alias: a, imageName: api }] }
", &fleet()), @r#"
    fleet of [1] {"applications":[{"name":"api"}],"images":[{"alias":"a","image":"api"}]}
    .. UnreadSetting: spec.applicationRefs[0].useAnnotations: no known Application that `api` matches has an image list in its annotations; policies are made of the annotations of Applications that are there
    .. AmbiguousText: spec.applicationRefs[1].namePattern: `a*` is written as the names of the Applications that there are: spec.applicationRefs[0] may take some of them; add new Applications by hand, or use patterns that share none
    matched {"api"}
    "#);
}

#[test]
fn annotations_that_cannot_be_read_leave_their_application() {
    let broken = [application("web", "web", &[("image-list", "nginx"), ("update-strategy", "best")])];
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: 'web', useAnnotations: true }
  - { namePattern: '*', images: [{ alias: a, imageName: all }] }
", &broken), @r#"
    !! InvalidStrategy: Application `web`, metadata.annotations[argocd-image-updater.argoproj.io/update-strategy]: there is no strategy `best`; write one of semver, newest-build, alphabetical, digest, calver, numeric, latest, name
    .. UnreadSetting: spec.applicationRefs[1].namePattern: no Application is left to `*`; other entries take those that it matches, or there are none
    matched {"web"}
    "#);
}

#[test]
fn targets_of_every_kind_are_carried_over() {
    insta::assert_snapshot!(shown("
  applicationRefs:
  - namePattern: api
    images:
    - { alias: a, imageName: a, manifestTargets: { helm: { name: x.name, tag: x.tag } } }
    - { alias: b, imageName: b, manifestTargets: { helm: { spec: x, tag: y } } }
    - { alias: c, imageName: c, manifestTargets: { helm: {} } }
    - { alias: d, imageName: d, manifestTargets: { kustomize: { name: old } } }
    - { alias: e, imageName: e, manifestTargets: { plugin: { name: IMAGE, tag: TAG } } }
    - { alias: f, imageName: f, manifestTargets: { plugin: { spec: IMAGE } } }
    - { alias: g, imageName: g, manifestTargets: { plugin: { name: IMAGE } } }
    - { alias: h, imageName: h, manifestTargets: { helm: {}, kustomize: { name: x } } }
    - { alias: i, imageName: i, manifestTargets: { kustomize: { name: 'No Image' } } }
", &[]), @r#"
    fleet of [0] {"applications":[{"name":"api"}],"images":[{"alias":"a","image":"a","target":{"helm":{"name":"x.name","tag":"x.tag"}}},{"alias":"b","image":"b","target":{"helm":{"spec":"x"}}},{"alias":"c","image":"c","target":{"helm":{}}},{"alias":"d","image":"d","target":{"kustomize":{"name":"old"}}},{"alias":"e","image":"e","target":{"plugin":{"name":"IMAGE","tag":"TAG"}}},{"alias":"f","image":"f","target":{"plugin":{"spec":"IMAGE"}}}]}
    !! InvalidTarget: spec.applicationRefs[0].images[6].manifestTargets.plugin: a plugin needs a variable for the tag; give either spec, or name and tag
    !! InvalidTarget: spec.applicationRefs[0].images[7].manifestTargets: the target is not of exactly one kind; give one of helm, kustomize and plugin
    !! InvalidImage: spec.applicationRefs[0].images[8].manifestTargets.kustomize.name: `No Image` is not an image: `No Image` may hold lower-case letters, digits and single `.`, `_`, `-` between them; write for example `nginx`
    .. UnreadSetting: spec.applicationRefs[0].images[1].manifestTargets.helm.tag: `y` is not read: `x` holds name and tag in one; keep one of the two
    matched {}
    "#);
}

#[test]
fn writing_back_is_inherited_too() {
    insta::assert_snapshot!(shown("
  writeBackConfig:
    method: git:secret:creds
    gitConfig: { repository: 'https://git.example/x', branch: main, pullRequest: { github: {}, labels: [a, ' a ', b] } }
  applicationRefs:
  - namePattern: api
    images: [{ alias: a, imageName: a }]
  - namePattern: web
    writeBackConfig: { method: git, gitConfig: { writeBackTarget: 'helmvalues:/values.yaml', pullRequest: { gitlab: {} } } }
    images: [{ alias: a, imageName: a }]
  - namePattern: app
    writeBackConfig: { method: argocd }
    images: [{ alias: a, imageName: a }]
", &[]), @r#"
    fleet-1 of [0] {"applications":[{"name":"api"}],"images":[{"alias":"a","image":"a"}],"writeBack":{"method":"Git","git":{"repository":"https://git.example/x","branch":"main","secretRef":{"name":"creds"},"pullRequest":{"provider":"GitHub","labels":["a","b"]}}}}
    fleet-2 of [1] {"applications":[{"name":"web"}],"images":[{"alias":"a","image":"a"}],"writeBack":{"method":"Git","git":{"repository":"https://git.example/x","branch":"main","target":"HelmValues","path":"/values.yaml","credentials":"ArgoCD","pullRequest":{"provider":"GitLab"}}}}
    fleet-3 of [2] {"applications":[{"name":"app"}],"images":[{"alias":"a","image":"a"}]}
    .. UnreadSetting: spec.writeBackConfig.gitConfig.branch: `main` is not read, because changes are written into the Application; it counts with the method `git`
    .. UnreadSetting: spec.writeBackConfig.gitConfig.repository: `git.example/x` is not read, because changes are written into the Application; it counts with the method `git`
    .. UnreadSetting: spec.writeBackConfig.gitConfig.pullRequest: no pull request is opened, because changes are written into the Application; it counts with the method `git`
    matched {}
    "#);
}

#[test]
fn what_is_wrong_is_named_at_its_path() {
    insta::assert_snapshot!(shown("
  namespace: apps
  applicationRefs:
  - namePattern: api
    commonUpdateSettings: { pullSecret: 'env:LOGIN' }
    images:
    - { alias: a, imageName: 'a:>>1' }
    - { alias: b, imageName: b, commonUpdateSettings: { pullSecret: pull, updateStrategy: best } }
    - { alias: c, imageName: c, commonUpdateSettings: { pullSecret: pull, ignoreTags: [x, '['] } }
    - { alias: d, imageName: '', commonUpdateSettings: { pullSecret: pull } }
    - { alias: e, imageName: e, commonUpdateSettings: { pullSecret: pull, platforms: [arm] } }
    - { alias: ok, imageName: ok, commonUpdateSettings: { pullSecret: pull } }
    - { alias: ok, imageName: twice, commonUpdateSettings: { pullSecret: pull } }
  - namePattern: web
    writeBackConfig: { method: svn }
    images: [{ alias: a, imageName: a }]
  - namePattern: git
    writeBackConfig: { method: git, gitConfig: { branch: 'main:x', pullRequest: { github: {} } } }
    images: [{ alias: a, imageName: a }]
  - namePattern: forge
    writeBackConfig: { method: git, gitConfig: { pullRequest: {} } }
    images: [{ alias: a, imageName: a }]
  - namePattern: none
", &[]), @r#"
    fleet of [0] {"applications":[{"name":"api"}],"images":[{"alias":"ok","image":"ok","pullSecret":{"name":"pull"}},{"image":"twice","pullSecret":{"name":"pull"}}]}
    !! InvalidSelector: spec.namespace: Applications of `apps` are out of reach of a policy in `argocd`; put the resource into `apps`
    !! InvalidCredentials: spec.applicationRefs[0].commonUpdateSettings.pullSecret: `env:` belongs to the administrator: a policy may use it only where that is allowed; let the administrator set it for the registry in the registries configuration, or allow it to the controller with `--allow-credential-sources`
    !! InvalidConstraint: spec.applicationRefs[0].images[0].imageName: cannot read the constraint `>>1`: `>>1` at character 1 is not a version; write a range such as `~1.2`, `^1`, `>=1.2 <2.0` or `1.2 - 1.4`
    !! InvalidStrategy: spec.applicationRefs[0].images[1].commonUpdateSettings.updateStrategy: there is no strategy `best`; write one of semver, newest-build, alphabetical, digest, calver, numeric, latest, name
    !! InvalidPattern: spec.applicationRefs[0].images[2].commonUpdateSettings.ignoreTags[1]: cannot read the glob `[`: a `[` is not closed by `]`; `*`, `?` and `[a-z]` are special; a `\` in front makes them literal
    !! InvalidImage: spec.applicationRefs[0].images[3].imageName: the image has no name; write for example `ghcr.io/org/app:~1.2`
    !! InvalidPlatform: spec.applicationRefs[0].images[4].commonUpdateSettings.platforms[0]: `arm` is not a platform; write os/arch or os/arch/variant, for example `linux/amd64` or `linux/arm64/v8`
    !! InvalidSetting: spec.applicationRefs[1].writeBackConfig.method: there is no method `svn`; write `argocd`, `git`, `git:repocreds` or `git:secret:NAME`
    !! InvalidSetting: spec.applicationRefs[2].writeBackConfig.gitConfig.branch: `main:x` names a branch to write, which a pull request names itself; write the base alone
    !! InvalidSetting: spec.applicationRefs[3].writeBackConfig.gitConfig.pullRequest: the pull request is not for exactly one forge; give one of `github: {}` and `gitlab: {}`
    !! InvalidImage: spec.applicationRefs[4].images: the entry names no image; add one, or set `useAnnotations: true`
    .. AmbiguousText: spec.applicationRefs[0].images[6].alias: the alias `ok` is already that of another image; give each image an alias of its own
    matched {}
    "#);
}

#[test]
fn one_pattern_that_cannot_be_read_stops_them_all() {
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: 'web-[', images: [{ alias: a, imageName: a }] }
  - { namePattern: 'api', images: [{ alias: a, imageName: a }] }
", &[]), @"
    !! InvalidSelector: spec.applicationRefs[0].namePattern: cannot read the glob `web-[`: a `[` is not closed by `]`; write a name or a glob, for example `web-*`
    matched {}
    ");
    insta::assert_snapshot!(shown("
  applicationRefs:
  - { namePattern: 'web', labelSelectors: { matchExpressions: [{ key: a, operator: Like }] }, images: [{ alias: a, imageName: a }] }
", &[]), @"
    !! InvalidSelector: spec.applicationRefs[0].labelSelectors.matchExpressions[0]: `Like` with 0 values is not a label requirement; In and NotIn need values, Exists and DoesNotExist have none
    matched {}
    ");
}

#[test]
fn signatures_are_inherited_and_never_dropped() {
    insta::assert_snapshot!(shown("
  imagesVerification: { cosignKey: { secretName: cosign, key: cosign.pub } }
  applicationRefs:
  - namePattern: api
    images:
    - { alias: a, imageName: a }
    - { alias: b, imageName: b, imagesVerification: { enabled: false } }
    - { alias: c, imageName: c, imagesVerification: { cosignKey: { secretName: other, key: k } } }
  - { namePattern: 'web-*', useAnnotations: true }
", &fleet()), @r#"
    fleet-1 of [0] {"applications":[{"name":"api"}],"images":[{"alias":"a","image":"a","verify":{"cosign":{"keys":[{"secretRef":{"name":"cosign","key":"cosign.pub"}}]}}},{"alias":"b","image":"b"},{"alias":"c","image":"c","verify":{"cosign":{"keys":[{"secretRef":{"name":"other","key":"k"}}]}}}]}
    fleet-2 of [1] {"applications":[{"name":"web-1"},{"name":"web-2"}],"defaults":{"verify":{"cosign":{"keys":[{"secretRef":{"name":"cosign","key":"cosign.pub"}}]}}},"images":[{"image":"nginx","constraint":"~1"}]}
    fleet-3 of [1] {"applications":[{"name":"web-prod"}],"defaults":{"verify":{"cosign":{"keys":[{"secretRef":{"name":"cosign","key":"cosign.pub"}}]}}},"images":[{"image":"nginx","constraint":"~1.2"}],"writeBack":{"method":"Git","git":{"credentials":"ArgoCD"}}}
    matched {"api", "web-1", "web-2", "web-prod"}
    "#);
    insta::assert_snapshot!(shown("
  applicationRefs:
  - namePattern: api
    images: [{ alias: a, imageName: a, imagesVerification: { enabled: true } }]
", &[]), @"
    !! InvalidSetting: spec.applicationRefs[0].images[0].imagesVerification: signatures are asked for, and no key is named; name one in `cosignKey`, or set `enabled: false`
    matched {}
    ");
}

#[test]
fn more_names_than_a_policy_holds_make_several() {
    let many: Vec<Application> = (0..150).map(|number| application(&format!("web-{number}"), "web", &[])).collect();
    let spec = "
  applicationRefs:
  - { namePattern: 'web-[0-9]*', images: [{ alias: a, imageName: web }] }
";
    let sizes = translate(&updater(spec), &many).policies;
    let sizes: Vec<_> = sizes.iter().map(|policy| (policy.name.as_str(), policy.spec.applications.len())).collect();
    assert_eq!(sizes, [("fleet-1", 100), ("fleet-2", 50)]);
}

#[test]
fn applications_of_other_namespaces_are_passed_over() {
    let mut other = application("web-9", "web", &[("image-list", "nginx")]);
    other.metadata.namespace = Some("other".to_owned());
    let spec = "
  applicationRefs:
  - { namePattern: 'web-*', useAnnotations: true }
";
    assert_eq!(translate(&updater(spec), &[other]).policies, []);
}
