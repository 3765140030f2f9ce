//! Which files go before the one that is written. Pure: what has to be read to know, it only names.

use super::destination::{
    COMMON_OVERRIDE, FileChoice, at_path, clean, followed, joined, override_names, same_repository,
};
use crate::model::{
    Application, GitBranch, GitTarget, GitWriteBack, Image, Keys, Pointer, Problem, Reason, Source, Sources, Target,
};
use crate::pipeline::place::source_of;

/// Files of the same branch that go before what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above {
    /// The source that is rendered, as a place in the Application.
    pub source: Pointer,
    /// Those that are merged over the source, in order.
    pub overrides: Vec<String>,
    /// Values files that are read later, in order.
    pub values: Vec<String>,
}

impl Above {
    /// What goes before the file: of values files, kustomizations and manifests it is known who reads them.
    ///
    /// # Errors
    /// A problem where a values file that nobody named may be hidden by one that cannot be looked at.
    pub fn of(
        git: &GitWriteBack,
        image: &Image,
        application: &Application,
        (branch, file): (&GitBranch, &FileChoice),
    ) -> Result<Option<Self>, Problem> {
        let target = match git.target {
            GitTarget::Override | GitTarget::Files => return Ok(None),
            GitTarget::HelmValues => Some(Target::Helm(Keys::default())),
            GitTarget::Kustomization => Some(Target::Kustomize(None)),
            GitTarget::Application => image.target.clone(),
        };
        let untyped = Image { target: None, ..image.clone() };
        let typed = Image { target, ..image.clone() };
        let only = matches!(application.sources, Sources::Single(_) | Sources::Hydrated(_));
        let Ok((place, source)) = source_of(if only { &untyped } else { &typed }, application) else { return Ok(None) };
        let here = |source: &Source| {
            let same = source.in_git() && same_repository(&source.repo_url, &branch.repository);
            same && followed(source, application).is_ok_and(|followed| followed == branch.branch)
        };
        let own = source.path.as_deref().and_then(|path| clean(path).ok()).filter(|_| here(source));
        let overrides = match &own {
            Some(own) => {
                let (names, _) = override_names(application);
                std::iter::once(COMMON_OVERRIDE.to_owned()).chain(names).map(|name| joined(own, &name)).collect()
            }
            None => Vec::new(),
        };
        let values = match file {
            FileChoice::Keys { path, .. } => values_above(git, path, (source, own.as_deref()), application, here)?,
            FileChoice::Override { .. } | FileChoice::Kustomization { .. } | FileChoice::Manifest { .. } => Vec::new(),
        };
        Ok(Some(Self { source: place, overrides, values }))
    }
}

/// The values files of `source` that are read after `path`, as far as they lie `here`; `own` is the folder of the source there.
fn values_above(
    git: &GitWriteBack,
    path: &str,
    (source, own): (&Source, Option<&str>),
    application: &Application,
    here: impl Fn(&Source) -> bool,
) -> Result<Vec<String>, Problem> {
    let files: Vec<&str> = source.helm.iter().flat_map(|helm| helm.value_files.iter().map(String::as_str)).collect();
    let sources = application.sources.each();
    let found = |file: &str| -> Option<String> {
        let lent = file.strip_prefix('$').map(|lent| lent.split_once('/').unwrap_or((lent, "")));
        let rest = lent.map_or(file, |(_, rest)| rest);
        if rest.contains("://") || rest.contains(['$', '*', '?', '[', '{']) {
            return None;
        }
        match lent {
            Some((name, rest)) => {
                let lender = sources.iter().find(|(_, source)| source.reference.as_deref() == Some(name));
                lender.filter(|(_, lender)| here(lender)).and_then(|_| clean(rest).ok())
            }
            None if file.starts_with('/') => own.and_then(|_| clean(file).ok()),
            None => own.and_then(|own| clean(&format!("{own}/{file}")).ok()),
        }
    };
    let places: Vec<Option<String>> = files.iter().map(|file| found(file)).collect();
    let usual = own.is_some_and(|own| joined(own, "values.yaml") == path);
    let last = places.iter().rposition(|place| place.as_deref() == Some(path));
    let above = match last {
        Some(last) => last + 1..places.len(),
        None if usual => 0..places.len(),
        // Who reads the file is not known.
        None => return Ok(Vec::new()),
    };
    if let Some(unknown) = above.clone().find(|position| places[*position].is_none() && git.path.is_none() && usual) {
        let file = files[unknown];
        let message = format!(
            "`{}` reads `{file}` after `{path}`, and whether that says something else is not known",
            application.id
        );
        let problem = at_path(Problem::new(Reason::AmbiguousFile, message));
        return Err(problem.hint("name the file to write, for example `path: values.yaml`"));
    }
    Ok(places[above].iter().flatten().cloned().collect())
}
