//! What users write, and what they are told when it cannot be understood: each problem points at their own text.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests prepare folders and fail loudly"
)]

mod world;

use fairlead::lower;
use fairlead::model::CredentialSource;

/// The problems of a policy with this spec, a line each, and whether anything of it is used.
fn problems(spec: &str) -> String {
    let lowered = lower::policy(&world::policy("web", "2026-01-01T00:00:00Z", spec));
    let images = lowered.policy.as_ref().map(|policy| policy.images.len());
    let used = images.map_or_else(|| "nothing is done".to_owned(), |images| format!("{images} images are used"));
    let lines = lowered.problems.iter().map(|problem| format!("{}: {problem}\n", problem.reason));
    format!("{}{used}", lines.collect::<String>())
}

fn image(image: &str) -> String {
    problems(&format!("applications: [{{ name: app }}]\nimages: [{{ image: good }}, {image}]"))
}

#[test]
fn a_plain_policy_has_no_problems() {
    insta::assert_snapshot!(image("{ image: ghcr.io/org/app, constraint: ~1.0 }"), @"2 images are used");
}

#[test]
fn images_say_what_is_wrong_with_them_and_others_go_on() {
    insta::assert_snapshot!(image("{ image: '' }"), @"
    InvalidImage: spec.images[1].image: the image has no name; write for example `ghcr.io/org/app`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: 'Org/app' }"), @"2 images are used");
    insta::assert_snapshot!(image("{ image: 'ghcr.io/Org/app' }"), @"
    InvalidImage: spec.images[1].image: `ghcr.io/Org/app` is not an image: `Org` may hold lower-case letters, digits and single `.`, `_`, `-` between them; write for example `ghcr.io/org/app`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: 'nginx:1.27' }"), @r#"
    InvalidImage: spec.images[1].image: `nginx:1.27` carries a version, `:1.27`; write `image: nginx` and `constraint: "1.27"`
    1 images are used
    "#);
    insta::assert_snapshot!(image("{ image: 'nginx:~1.27' }"), @r#"
    InvalidImage: spec.images[1].image: `nginx:~1.27` is not an image: `~1.27` is not a tag; write `image: nginx` and `constraint: "~1.27"`
    1 images are used
    "#);
    insta::assert_snapshot!(image("{ image: 'nginx@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' }"), @"
    InvalidImage: spec.images[1].image: `nginx@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855` carries a version, `@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`; write `image: nginx`
    1 images are used
    ");
}

#[test]
fn rules_say_what_is_wrong_with_them() {
    insta::assert_snapshot!(image("{ image: a, strategy: Newest }"), @"
    InvalidStrategy: spec.images[1].strategy: there is no strategy `Newest`; write one of SemVer, NewestBuild, Alphabetical, Digest, CalVer, Numeric
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, constraint: '>=1.0 <' }"), @"
    InvalidConstraint: spec.images[1].constraint: cannot read the constraint `>=1.0 <`: `<` at character 7 has no version after it; write a range such as `~1.2`, `^1`, `>=1.2 <2.0` or `1.2 - 1.4`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, allowTags: { regex: '(' } }"), @r"
    InvalidPattern: spec.images[1].allowTags.regex: cannot read the regular expression `(`: unclosed group; write RE2 syntax, for example `^1\.[0-9]+$`; look-around and back-references do not exist
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, ignoreTags: ['['] }"), @r"
    InvalidPattern: spec.images[1].ignoreTags[0]: cannot read the glob `[`: a `[` is not closed by `]`; `*`, `?` and `[a-z]` are special; a `\` in front makes them literal
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, platforms: [linux] }"), @"
    InvalidPlatform: spec.images[1].platforms[0]: `linux` is not a platform; write os/arch or os/arch/variant, for example `linux/amd64` or `linux/arm64/v8`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, minimumAge: soon }"), @"
    InvalidDuration: spec.images[1].minimumAge: cannot read the duration `soon`: `soon` is not a number with a unit; write numbers with ms, s, m, h, d or w, for example `90s`, `1h30m` or `7d`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, pin: Both }"), @"
    InvalidStrategy: spec.images[1].pin: there is no pin `Both`; write Tag, Digest or TagAndDigest
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, strategy: Digest }"), @"
    InvalidConstraint: spec.images[1].constraint: strategy Digest needs a constraint: the tag to follow; for example `latest`
    1 images are used
    ");
}

#[test]
fn defaults_are_pointed_at_where_they_are_wrong() {
    let spec = "applications: [{ name: app }]\ndefaults: { constraint: '>>1' }\nimages: [{ image: a }, { image: b, constraint: ~1.0 }]";
    insta::assert_snapshot!(problems(spec), @"
    InvalidConstraint: spec.defaults.constraint: cannot read the constraint `>>1`: `>>1` at character 1 is not a version; write a range such as `~1.2`, `^1`, `>=1.2 <2.0` or `1.2 - 1.4`
    1 images are used
    ");
}

#[test]
fn credentials_are_a_tenants_own_or_refused_with_what_to_do() {
    for given in
        ["pull", "pullsecret:pull", "pullsecret:argocd/pull", "secret:login#creds", "secret:argocd/login#creds", "aws"]
    {
        assert_eq!(image(&format!("{{ image: a, credentials: '{given}' }}")), "2 images are used", "{given}");
    }
    insta::assert_snapshot!(image("{ image: a, credentials: 'env:HUB_LOGIN' }"), @"
    InvalidCredentials: spec.images[1].credentials: `env:` belongs to the administrator: a policy may use it only where that is allowed; let the administrator set it for the registry in the registries configuration, or allow it to the controller with `--allow-credential-sources`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, credentials: 'ext:/scripts/ecr.sh' }"), @"
    InvalidCredentials: spec.images[1].credentials: `ext:` belongs to the administrator: a policy may use it only where that is allowed; let the administrator set it for the registry in the registries configuration, or allow it to the controller with `--allow-credential-sources`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, credentials: 'secret:other/login#creds' }"), @"
    InvalidCredentials: spec.images[1].credentials: a policy in the namespace `argocd` may not read Secrets of `other`; keep the Secret in the policy's namespace, or let the administrator name it in the registries configuration
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, pullSecret: { name: other/pull } }"), @"
    InvalidCredentials: spec.images[1].pullSecret.name: a policy in the namespace `argocd` may not read Secrets of `other`; keep the Secret in the policy's namespace, or let the administrator name it in the registries configuration
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, credentials: 'vault:a/b' }"), @"
    InvalidCredentials: spec.images[1].credentials: `vault` is no source of credentials: write `pullsecret:`, `secret:`, `env:`, `ext:`, `aws`, `gcp` or `azure`; write `pullsecret:NAME`, `secret:NAME#FIELD`, `aws`, `gcp` or `azure`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, credentials: aws, pullSecret: { name: pull } }"), @"
    InvalidCredentials: spec.images[1]: both a pull secret and credentials are given; give one of the two
    1 images are used
    ");
}

#[test]
fn an_image_s_own_credentials_go_before_the_defaults() {
    let sources = |images: &str| {
        let spec = format!(
            "applications: [{{ name: app }}]\ndefaults: {{ pullSecret: {{ name: pull }} }}\nimages: [{images}]"
        );
        let lowered = lower::policy(&world::policy("web", "2026-01-01T00:00:00Z", &spec));
        let images = lowered.policy.unwrap().images;
        images.iter().filter_map(|image| image.credentials.as_ref()).map(ToString::to_string).collect::<Vec<_>>()
    };
    let images =
        "{ image: a }, { image: b, credentials: 'secret:login#creds' }, { image: c, pullSecret: { name: own } }";
    assert_eq!(sources(images), ["pullsecret:argocd/pull", "secret:argocd/login#creds", "pullsecret:argocd/own"]);
    let spec = "applications: [{ name: app }]\ndefaults: { credentials: 'env:HUB' }\nimages: [{ image: a }, { image: b, credentials: aws }]";
    insta::assert_snapshot!(problems(spec), @"
    InvalidCredentials: spec.defaults.credentials: `env:` belongs to the administrator: a policy may use it only where that is allowed; let the administrator set it for the registry in the registries configuration, or allow it to the controller with `--allow-credential-sources`
    1 images are used
    ");
}

#[test]
fn what_the_administrator_allows_a_policy_may_use() {
    let spec = "applications: [{ name: app }]\nimages: [{ image: a, credentials: 'env:HUB' }, { image: b, credentials: 'env:OTHER' }]";
    let policy = world::policy("web", "2026-01-01T00:00:00Z", spec);
    let allowed = [CredentialSource::Environment("HUB".to_owned())];
    let lowered = lower::policy_allowing(&policy, &allowed);
    assert_eq!(lowered.problems.len(), 1);
    let images = lowered.policy.unwrap().images;
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].credentials.as_ref(), Some(&allowed[0]));
}

#[test]
fn titles_are_unique() {
    insta::assert_snapshot!(image("{ alias: x, image: a }, { alias: x, image: b }"), @"
    DuplicateAlias: spec.images[2].alias: the alias `x` is already that of spec.images[1]; give each image an alias of its own
    2 images are used
    ");
    let lowered = lower::policy(&world::policy(
        "web",
        "2026-01-01T00:00:00Z",
        "applications: [{ name: app }]\nimages: [{ image: a }, { image: a }]",
    ));
    let titles: Vec<_> = lowered.policy.unwrap().images.into_iter().map(|image| image.title).collect();
    assert_eq!(titles, ["a", "a#1"]);
}

#[test]
fn targets_say_what_is_wrong_with_them() {
    insta::assert_snapshot!(image("{ image: a, target: { helm: { tag: t }, kustomize: {} } }"), @"
    InvalidTarget: spec.images[1].target: the target has more than one kind; give one of helm, kustomize, plugin and file
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { helm: { spec: s, tag: t } } }"), @"
    InvalidTarget: spec.images[1].target.helm: the target has both a spec and a name or tag; give either spec, or name and tag
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { helm: { name: t, tag: t } } }"), @"
    InvalidTarget: spec.images[1].target.helm: name and tag are one parameter, `t`; give either spec, or name and tag
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { helm: { tag: ' ' } } }"), @"
    InvalidTarget: spec.images[1].target.helm.tag: the parameter's name is empty; give either spec, or name and tag
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { plugin: { name: X } } }"), @"
    InvalidTarget: spec.images[1].target.plugin: the target has neither a spec nor a tag; give either spec, or name and tag
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { helm: { tag: x, values: { tag: t } } } }"), @"
    InvalidTarget: spec.images[1].target.helm: the target has both parameters and values; give one of the two
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { helm: { values: { tag: 'a..b' } } } }"), @"
    InvalidTarget: spec.images[1].target.helm.values: `a..b` is not a path of values; write for example `image.tag` or `containers[0].image`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { kustomize: { name: 'A B' } } }"), @"
    InvalidImage: spec.images[1].target.kustomize.name: `A B` is not an image: `A B` may hold lower-case letters, digits and single `.`, `_`, `-` between them; write for example `ghcr.io/org/app`
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { source: { name: x, index: 1 } } }"), @"
    InvalidTarget: spec.images[1].target.source: the source is not named in exactly one way; give exactly one of name, index (from 0), ref and chart
    1 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { source: { index: -1 } } }"), @"
    InvalidTarget: spec.images[1].target.source: the source is not named in exactly one way; give exactly one of name, index (from 0), ref and chart
    1 images are used
    ");
}

#[test]
fn what_comes_later_is_refused_and_named() {
    insta::assert_snapshot!(image("{ image: a, verify: { cosign: { keys: [] } } }"), @"
    NotSupportedYet: spec.images[1].verify: verifying signatures is not supported yet by this version of Fairlead; remove `verify` to update without it
    1 images are used
    ");
}

#[test]
fn git_says_what_is_wrong_with_it() {
    let git = |git: &str| {
        problems(&format!(
            "applications: [{{ name: app }}]\nimages: [{{ image: a }}]\nwriteBack: {{ method: Git, git: {git} }}"
        ))
    };
    insta::assert_snapshot!(git("{}"), @"1 images are used");
    insta::assert_snapshot!(git("{ writeBranch: 'a-{{ .Sha }}' }"), @"
    InvalidTemplate: spec.writeBack.git.writeBranch: the template cannot be used: map has no entry for key: Sha; it is a Go template; the fields are listed in the guide on Git
    nothing is done
    ");
    insta::assert_snapshot!(git("{ branch: 'a b' }"), @r"
    InvalidTarget: spec.writeBack.git.branch: `a b` is not the name of a branch: it holds a blank, or one of `~^:?*[\`
    nothing is done
    ");
    insta::assert_snapshot!(git("{ repository: 'https://u:geheim@h/a' }"), @"
    InvalidTarget: spec.writeBack.git.repository: the address of the repository holds a password; put it into a Secret and name that with `secretRef`
    nothing is done
    ");
    insta::assert_snapshot!(git("{ repository: ../a }"), @"
    InvalidTarget: spec.writeBack.git.repository: `../a` is not the address of a repository; write for example `https://git.example.com/org/app.git` or `git@git.example.com:org/app.git`
    nothing is done
    ");
    insta::assert_snapshot!(git("{ target: Application }"), @"
    InvalidTarget: spec.writeBack.git.path: target Application needs a path; name the file with the Application's manifest
    nothing is done
    ");
    insta::assert_snapshot!(git("{ path: '' }"), @"
    InvalidTarget: spec.writeBack.git.path: the path is empty; leave it out for the usual place
    nothing is done
    ");
    insta::assert_snapshot!(git("{ create: true, credentials: ArgoCD, secretRef: { name: a } }"), @"
    InvalidTarget: spec.writeBack.git.secretRef: both `credentials` and `secretRef` are given; give one of the two
    InvalidTarget: spec.writeBack.git.create: `create` is for target HelmValues; the override file is made by itself; for target Files say it at `target.file`
    nothing is done
    ");
    insta::assert_snapshot!(git("{ commit: { messageTemplate: '{{ range .AppChanges }}', author: { name: 'a <b>', email: c } } }"), @"
    InvalidTarget: spec.writeBack.git.commit.author: name or mail address of the author cannot stand in a commit; `<`, `>` and line ends cannot
    nothing is done
    ");
    insta::assert_snapshot!(git("{ commit: { via: GitHubApi, signOff: false } }"), @"1 images are used");
    insta::assert_snapshot!(git("{ commit: { via: GitHubApi, author: { name: a, email: b }, signOff: true, signing: { secretRef: { name: key } } }, pullRequest: { provider: GitLab } }"), @"
    InvalidTarget: spec.writeBack.git.commit.via: GitHub makes no commits in a repository of another forge; leave out `via`, or name the provider GitHub at `pullRequest`
    InvalidTarget: spec.writeBack.git.commit.author: the author of a commit that GitHub makes is the owner of the token; remove `author`, or `via: GitHubApi`
    InvalidTarget: spec.writeBack.git.commit.signing: a commit that GitHub makes carries GitHub's signature and no other; remove `signing`, or `via: GitHubApi`
    InvalidTarget: spec.writeBack.git.commit.signOff: who signs off is the author, and GitHub decides who that is; remove `signOff`, or `via: GitHubApi`
    nothing is done
    ");
    insta::assert_snapshot!(git("{ target: Files }"), @"
    InvalidTarget: spec.images[0].target: `writeBack.git.target: Files` needs a file at each image; write for example `target: { file: { path: deploy.yaml, keys: { tag: image.tag } } }`
    0 images are used
    ");
    insta::assert_snapshot!(problems("applications: [{ name: app }]\nimages: [{ image: a }]\nwriteBack: { method: Application, git: {} }"), @"
    InvalidTarget: spec.writeBack.git: `git` is only read with `method: Git`; add `method: Git`, or remove `git`
    nothing is done
    ");
}

#[test]
fn files_say_what_is_wrong_with_them() {
    let file = |file: &str| {
        problems(&format!(
            "applications: [{{ name: app }}]\nimages: [{{ image: a, target: {{ file: {file} }} }}]\nwriteBack: {{ method: Git, git: {{ target: Files }} }}"
        ))
    };
    insta::assert_snapshot!(file("{ path: a.yaml, keys: { tag: 'image.tag' } }"), @"1 images are used");
    insta::assert_snapshot!(file("{ path: a.yaml, keys: {} }"), @"
    InvalidTarget: spec.images[0].target.file.keys: no key holds the version; give `spec`, `tag` or `digest`
    0 images are used
    ");
    insta::assert_snapshot!(file("{ path: a.yaml, keys: { tag: 'a[x]' } }"), @"
    InvalidTarget: spec.images[0].target.file.keys.tag: `a[x]` is not a path of keys: a bracket holds an index from 0, a quoted key, or `key=value`; write for example `image.tag` or `containers[name=web].image`
    0 images are used
    ");
    insta::assert_snapshot!(file("{ path: a.yaml, keys: { spec: a, tag: b } }"), @"
    InvalidTarget: spec.images[0].target.file.keys: the keys have both a spec and a name, tag or digest; give either `spec`, or `name`, `tag` and `digest`
    0 images are used
    ");
    insta::assert_snapshot!(image("{ image: a, target: { file: { path: x, keys: { tag: t } } } }"), @"
    InvalidTarget: spec.images[1].target: a file is a target in Git; add `writeBack: { method: Git, git: { target: Files } }`
    1 images are used
    ");
}

#[test]
fn where_the_whole_cannot_be_understood_nothing_is_done() {
    let whole = |more: &str| problems(&format!("images: [{{ image: a }}]\n{more}"));
    insta::assert_snapshot!(whole("applications: []"), @"
    InvalidSelector: spec.applications: the policy selects no Application; add an entry, for example `- name: web-*`
    nothing is done
    ");
    insta::assert_snapshot!(whole("applications: [{}]"), @r#"
    InvalidSelector: spec.applications[0]: the entry has neither a name nor a selector; `name: "*"` selects all
    nothing is done
    "#);
    insta::assert_snapshot!(whole("applications: [{ name: 'web-[a]' }]"), @"
    InvalidSelector: spec.applications[0]: `web-[a]` is not a name or glob of Applications; `*` stands for any characters and `?` for one; Applications of other namespaces are out of reach
    nothing is done
    ");
    insta::assert_snapshot!(whole("applications: [{ selector: { matchExpressions: [{ key: a, operator: Like, values: [b] }] } }]"), @"
    InvalidSelector: spec.applications[0].selector.matchExpressions[0]: `Like` with 1 values is not a label requirement; In and NotIn need values, Exists and DoesNotExist have none
    nothing is done
    ");
    insta::assert_snapshot!(whole("applications: [{ name: a }]\ninterval: soon"), @"
    InvalidDuration: spec.interval: cannot read the duration `soon`: `soon` is not a number with a unit; write for example `2m` or `1h30m`
    nothing is done
    ");
    insta::assert_snapshot!(whole("applications: [{ name: a }]\ninterval: 1s"), @"
    InvalidDuration: spec.interval: `1s` is shorter than 10s; write for example `2m` or `1h30m`
    nothing is done
    ");
    insta::assert_snapshot!(whole("applications: [{ name: a }]\nschedule: { windows: [{ timeZone: Mars/Base }] }"), @"
    InvalidSchedule: spec.schedule.windows[0].timeZone: there is no time zone `Mars/Base`; write a name of the IANA list, for example `Europe/Berlin`
    nothing is done
    ");
    insta::assert_snapshot!(problems("applications: [{ name: a }]\nimages: []"), @"
    InvalidImage: spec.images: the policy names no image; add an entry, for example `- image: ghcr.io/org/app`
    0 images are used
    ");
}
