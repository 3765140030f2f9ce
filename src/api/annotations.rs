//! Every `argocd-image-updater.argoproj.io/*` annotation of an Application: the one table that the translation reads and that
//! `docs/reference/annotations.md` is printed from.
//!
//! Source of the rules: argocd-image-updater v0.3 to v1.3, its annotation reader in both dialects.

use std::fmt::Write as _;

/// What stands in front of every key.
pub const PREFIX: &str = "argocd-image-updater.argoproj.io/";

/// The images of an Application.
pub const IMAGE_LIST: &str = "image-list";
/// How tags are ordered.
pub const UPDATE_STRATEGY: &str = "update-strategy";
/// Whether an image is written that nothing shows in use.
pub const FORCE_UPDATE: &str = "force-update";
/// Which tags are looked at.
pub const ALLOW_TAGS: &str = "allow-tags";
/// The name of `allow-tags` before v0.7.
pub const TAG_MATCH: &str = "tag-match";
/// Which tags are never taken.
pub const IGNORE_TAGS: &str = "ignore-tags";
/// The login for the registry.
pub const PULL_SECRET: &str = "pull-secret";
/// Which platforms count.
pub const PLATFORMS: &str = "platforms";
/// The Helm parameter of the name.
pub const HELM_NAME: &str = "helm.image-name";
/// The Helm parameter of the tag.
pub const HELM_TAG: &str = "helm.image-tag";
/// The Helm parameter of name and tag in one.
pub const HELM_SPEC: &str = "helm.image-spec";
/// The image's name in the manifests.
pub const KUSTOMIZE_NAME: &str = "kustomize.image-name";
/// Into the Application or into Git.
pub const WRITE_BACK_METHOD: &str = "write-back-method";
/// Which file in Git.
pub const WRITE_BACK_TARGET: &str = "write-back-target";
/// Which branches.
pub const GIT_BRANCH: &str = "git-branch";
/// Which repository.
pub const GIT_REPOSITORY: &str = "git-repository";

/// What a key is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The Application.
    Application,
    /// One image; the key is `ALIAS.` and this one.
    Image,
    /// One image, or every image without an own value when there is no `ALIAS.` in front.
    Both,
}

/// How much of an annotation's meaning Fairlead keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// All of it.
    Supported,
    /// All but what the description tells.
    Differs,
    /// None; it is named, and never silently dropped.
    Refused,
}

/// One annotation.
#[derive(Debug, Clone, Copy)]
pub struct Annotation {
    /// The key behind [`PREFIX`] and, where there is one, the alias and its dot.
    pub key: &'static str,
    /// What it is about.
    pub scope: Scope,
    /// What its value may be.
    pub values: &'static str,
    /// The field of a policy that it becomes.
    pub becomes: &'static str,
    /// How much of its meaning is kept.
    pub support: Support,
    /// What it is for, in a line.
    pub brief: &'static str,
    /// How it is read, and where that differs from argocd-image-updater.
    pub long: &'static str,
}

/// Every annotation, in the order in which documentation names them.
pub const ANNOTATIONS: &[Annotation] = &[
    Annotation {
        key: IMAGE_LIST,
        scope: Scope::Application,
        values: "`[ALIAS=]IMAGE[:CONSTRAINT]`, with commas between",
        becomes: "`images[].alias`, `.image`, `.constraint`",
        support: Support::Differs,
        brief: "The images to keep up to date. Without it an Application is left alone",
        long: "A comma separates images, so a constraint has blanks in place of commas: `web=nginx:>=1.2 <2`. Empty entries are passed over. \
               What stands in front of the first `=` is the alias, unless it holds a `:` or `@`: then the `=` belongs to the constraint \
               (argocd-image-updater takes it for the end of an alias). A registry may have a port in front of any constraint. An image \
               that a comma tore apart (`>=1.2, <2`) is refused, not read in part. A digest behind `@` says nothing. A `/` in an alias \
               is `_` in keys and in the policy. Two images may share an alias and its settings; the second one has none in the policy. \
               Under `newest-build` and `alphabetical` a range filters; a bare tag or version does not, and is noted.",
    },
    Annotation {
        key: UPDATE_STRATEGY,
        scope: Scope::Both,
        values: "`semver`, `newest-build`, `alphabetical`, `digest`, `calver`, `numeric`; older: `latest`, `name`",
        becomes: "`strategy`",
        support: Support::Differs,
        brief: "How tags are ordered",
        long: "In any case; `semver` when nothing is said. `latest` is `newest-build` and `name` is `alphabetical`, which is noted. \
               An unknown word is refused for the image, where argocd-image-updater goes on with `semver`.",
    },
    Annotation {
        key: FORCE_UPDATE,
        scope: Scope::Both,
        values: "`true`, `false`; also `1 t T TRUE True 0 f F FALSE False`",
        becomes: "`forceUpdate`",
        support: Support::Supported,
        brief: "Writes the image even where nothing shows that the Application uses it",
        long: "Every other text, an empty one too, is refused for the image, as argocd-image-updater v1 does; v0 reads it as `false`.",
    },
    Annotation {
        key: ALLOW_TAGS,
        scope: Scope::Both,
        values: "`any`, `regexp:EXPRESSION`",
        becomes: "`allowTags`",
        support: Support::Differs,
        brief: "Which tags are looked at",
        long: "RE2 syntax, not anchored. An expression without `regexp:` in front is read as one, which is noted; \
               for argocd-image-updater it matches no tag. An expression that cannot be read is refused for the image.",
    },
    Annotation {
        key: TAG_MATCH,
        scope: Scope::Image,
        values: "as `allow-tags`",
        becomes: "`allowTags`",
        support: Support::Supported,
        brief: "The name of `allow-tags` before v0.7",
        long: "Read where no `allow-tags` applies to the image, as v0 does, and noted; v1 does not read it.",
    },
    Annotation {
        key: IGNORE_TAGS,
        scope: Scope::Both,
        values: "globs, with commas between",
        becomes: "`ignoreTags`",
        support: Support::Differs,
        brief: "Which tags are never taken",
        long: "Empty items are passed over; an empty list of an image takes the place of the application-wide one. Under `semver` a bare \
               version leaves out all that lies under it (`1.0`: 1.0.0, 1.0.1 …), and ranges such as `>=2.0` are understood. A glob that \
               cannot be read is refused for the image, where argocd-image-updater matches nothing.",
    },
    Annotation {
        key: PULL_SECRET,
        scope: Scope::Both,
        values: "`pullsecret:NAMESPACE/NAME`, `secret:NAMESPACE/NAME#FIELD`, `NAME`",
        becomes: "`pullSecret`, `credentials`",
        support: Support::Differs,
        brief: "The login for the registry",
        long: "A bare name is a pull secret of the Application's namespace. Secrets of other namespaces, `env:` and `ext:` are \
               the administrator's: they are refused unless `--allow-credential-sources` names them. What cannot be used is refused for the image; v0 goes on without it.",
    },
    Annotation {
        key: PLATFORMS,
        scope: Scope::Image,
        values: "`OS/ARCH[/VARIANT]`, with commas between",
        becomes: "`platforms`",
        support: Support::Differs,
        brief: "Platforms of which an image must serve one",
        long: "Any platform when nothing is said; argocd-image-updater asks for that of its own process. What is no platform is refused for \
               the image. There is none for the whole Application.",
    },
    Annotation {
        key: HELM_NAME,
        scope: Scope::Image,
        values: "a parameter, or a path in a values file",
        becomes: "`target.helm.name`",
        support: Support::Supported,
        brief: "The Helm parameter that holds the image's name",
        long: "Beside it the tag goes to `image.tag` unless `helm.image-tag` says otherwise.",
    },
    Annotation {
        key: HELM_TAG,
        scope: Scope::Image,
        values: "a parameter, or a path in a values file",
        becomes: "`target.helm.tag`",
        support: Support::Differs,
        brief: "The Helm parameter that holds the tag",
        long: "Alone it writes the tag and nothing else; argocd-image-updater adds the name as `image.name`.",
    },
    Annotation {
        key: HELM_SPEC,
        scope: Scope::Image,
        values: "a parameter, or a path in a values file",
        becomes: "`target.helm.spec`",
        support: Support::Supported,
        brief: "The Helm parameter that holds name and tag in one",
        long: "It wins over `helm.image-name` and `helm.image-tag`, which is noted.",
    },
    Annotation {
        key: KUSTOMIZE_NAME,
        scope: Scope::Image,
        values: "an image without a tag",
        becomes: "`target.kustomize.name`",
        support: Support::Supported,
        brief: "The image's name in the manifests, where it differs",
        long: "Together with a `helm.` key of the same image it is refused, as in v1; v0 allowed both. A tag behind the name says nothing.",
    },
    Annotation {
        key: WRITE_BACK_METHOD,
        scope: Scope::Application,
        values: "`argocd`, `git`, `git:repocreds`, `git:secret:[NAMESPACE/]NAME`",
        becomes: "`writeBack.method`, `.git.credentials`, `.git.secretRef`",
        support: Support::Supported,
        brief: "Into the Application, or into Git and with whose credentials",
        long: "`argocd` when nothing is said; `git` alone is `git:repocreds`. The Secret must lie in the Application's namespace. \
               Anything else is refused for the whole Application, and nothing is written.",
    },
    Annotation {
        key: WRITE_BACK_TARGET,
        scope: Scope::Application,
        values: "`kustomization[:PATH]`, `helmvalues[:PATH]`, a path from the repository's root",
        becomes: "`writeBack.git.target`, `.git.path`",
        support: Support::Differs,
        brief: "Which file in Git is written",
        long: "A PATH that begins with `/` counts from the root of the repository, others from the source's path. A bare path that ends in \
               `.yaml` or `.yml` is a Helm values file, unless its name begins with `.argocd-source-`. A missing values file is not made. Words that only begin with \
               `kustomization` or `helmvalues` are refused; argocd-image-updater drops a letter of them.",
    },
    Annotation {
        key: GIT_BRANCH,
        scope: Scope::Application,
        values: "`BASE`, `BASE:TEMPLATE`, `:TEMPLATE`",
        becomes: "`writeBack.git.branch`, `.git.writeBranch`",
        support: Support::Supported,
        brief: "The branch that is read, and the one that is written",
        long: "The source's `targetRevision` when nothing is said. A second `:` is refused for the whole Application.",
    },
    Annotation {
        key: GIT_REPOSITORY,
        scope: Scope::Application,
        values: "the URL of a Git repository",
        becomes: "`writeBack.git.repository`",
        support: Support::Supported,
        brief: "The repository that is written",
        long: "The source's when nothing is said.",
    },
    Annotation {
        key: "image-name",
        scope: Scope::Image,
        values: "",
        becomes: "",
        support: Support::Refused,
        brief: "The name of `helm.image-name` before v0.3",
        long: "Use `ALIAS.helm.image-name`.",
    },
    Annotation {
        key: "image-tag",
        scope: Scope::Image,
        values: "",
        becomes: "",
        support: Support::Refused,
        brief: "The name of `helm.image-tag` before v0.3",
        long: "Use `ALIAS.helm.image-tag`.",
    },
    Annotation {
        key: "image-spec",
        scope: Scope::Image,
        values: "",
        becomes: "",
        support: Support::Refused,
        brief: "The name of `helm.image-spec` before v0.3",
        long: "Use `ALIAS.helm.image-spec`.",
    },
    Annotation {
        key: "pullsecrets",
        scope: Scope::Application,
        values: "",
        becomes: "",
        support: Support::Refused,
        brief: "Logins, before v0.4",
        long: "Use `pull-secret` or `ALIAS.pull-secret`.",
    },
];

impl Annotation {
    /// The key as users write it, with what stands in front of it.
    pub fn written(&self) -> String {
        match self.scope {
            Scope::Application => self.key.to_owned(),
            Scope::Image => format!("ALIAS.{}", self.key),
            Scope::Both => format!("[ALIAS.]{}", self.key),
        }
    }
}

impl Support {
    /// The word for it in documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Differs => "differs",
            Self::Refused => "refused",
        }
    }
}

/// The page about annotations, printed from the table.
pub fn page() -> String {
    let mut page = format!("# Annotations\n\n{INTRODUCTION}\n\n");
    page.push_str("| annotation | what it is for | values | becomes | |\n|---|---|---|---|---|\n");
    for annotation in ANNOTATIONS {
        let Annotation { brief, values, becomes, support, .. } = annotation;
        let written = annotation.written();
        let _ = writeln!(page, "| `{written}` | {brief} | {values} | {becomes} | {} |", support.as_str());
    }
    page.push_str("\n## How each is read\n");
    for annotation in ANNOTATIONS {
        let _ = writeln!(page, "\n**`{}`**: {}", annotation.written(), annotation.long);
    }
    page
}

const INTRODUCTION: &str = "\
Fairlead reads the annotations of argocd-image-updater, those of its v0.x and those of its v1.x, as they stand on Applications. Each key
has `argocd-image-updater.argoproj.io/` in front. `ALIAS` is the alias that `image-list` gives an image. Nothing is ever written to an
Application's annotations.

Blanks around a value say nothing, and neither does an empty value, unless the description says otherwise: then what is said for the whole
Application holds. What cannot be read leaves its image as it is, and is reported with the key; no default is put in its stead. A key
that nothing reads is named (`UnreadSetting`).

*supported*: means what it means to argocd-image-updater. *differs*: the description tells where not. *refused*: has no meaning any more.

`fairlead convert` prints the policy that annotations mean.";
