//! What commits say.

use std::collections::{BTreeMap, BTreeSet};

use crate::lower::git_template::DEFAULT_MESSAGE;
use crate::model::{ApplicationId, ChangeFacts, Facts, GitPlan, PolicyId};

/// The trailer that names a policy.
const POLICY: &str = "Fairlead-Policy";
/// The trailer that names an Application.
const APPLICATION: &str = "Fairlead-Application";
/// How Argo CD's hydrator knows what a commit stands for (Argo CD, source hydrator, "Commit Trailers").
const REFERENCE: &str = "Argocd-reference-commit-";
/// The label with the commit that an image was built from (OCI image specification, annotations).
pub(super) const REVISION: &str = "org.opencontainers.image.revision";
/// The label with the place of its source.
pub(super) const SOURCE: &str = "org.opencontainers.image.source";
/// How lines begin that Git itself puts among trailers.
const BY_GIT: [&str; 2] = ["Signed-off-by: ", "(cherry picked from commit "];
/// The field by which a template tells of several Applications.
const ALL: &str = ".Applications";
/// The message where there is none.
const NOTHING_SAID: &str = "Update container image versions";

/// Whether a commit with this message is one of ours.
pub fn is_ours(message: &str) -> bool {
    message.lines().any(|line| line.strip_prefix(POLICY).is_some_and(|rest| rest.starts_with(": ")))
}

/// The trailers of one Application's changes.
pub(super) fn trailers(policy: &PolicyId, application: &ApplicationId) -> Vec<(String, String)> {
    vec![(POLICY.to_owned(), policy.to_string()), (APPLICATION.to_owned(), application.to_string())]
}

/// The trailers that tell the hydrator which commit of the code all changed images were built from, as their labels say. None where that is not
/// one commit: Argo CD knows one a commit.
pub(super) fn references(changes: &[ChangeFacts]) -> Vec<(String, String)> {
    let built = changes.iter().map(|change| {
        let revision = change.labels.get(REVISION).map(|text| text.trim()).filter(|text| is_commit(text))?;
        let source = change.labels.get(SOURCE).map(|text| text.trim()).filter(|text| is_web_address(text));
        Some((revision, source))
    });
    let built: BTreeSet<_> = built.collect();
    let (Some(Some((revision, source))), 1) = (built.first().copied(), built.len()) else { return Vec::new() };
    let source = source.map(|source| (format!("{REFERENCE}repourl"), source.to_owned()));
    source.into_iter().chain([(format!("{REFERENCE}sha"), revision.to_owned())]).collect()
}

/// Whether a text is the name of a commit, as Argo CD takes it.
pub(super) fn is_commit(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text is the address of a repository on the web, without a login in it.
pub(super) fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    let plain = text.len() <= 500 && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain && host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
}

/// The trailers of all plans. Where plans refer to different commits of the code, none is told.
fn all_trailers(plans: &[&GitPlan]) -> Vec<(String, String)> {
    let is_reference = |(key, _): &&(String, String)| key.starts_with(REFERENCE);
    let referring = plans.iter().map(|plan| plan.commit.trailers.iter().filter(is_reference).collect::<Vec<_>>());
    let agreed = referring.filter(|references| !references.is_empty()).collect::<BTreeSet<_>>().len() <= 1;
    let trailers = plans.iter().flat_map(|plan| &plan.commit.trailers);
    trailers.filter(|trailer| agreed || !is_reference(trailer)).cloned().collect()
}

/// The message of a commit that holds `plans`: of one its own, of several a subject and a section for each; then all trailers, each once: those of the
/// messages first, and `Signed-off-by` last, where a plan asks for it.
pub fn combined(plans: &[&GitPlan]) -> String {
    let Said { text, trailers } = match plans {
        [one] => Said::of(&one.commit.message),
        several => together(several),
    };
    let signers = plans.iter().filter(|plan| plan.commit.sign_off).map(|plan| &plan.commit.author);
    let signed = signers.map(|author| ("Signed-off-by".to_owned(), format!("{} <{}>", author.name, author.email)));
    // A value of several lines would end the block of trailers.
    let plain =
        |(key, value): (String, String)| format!("{key}: {}", value.split_whitespace().collect::<Vec<_>>().join(" "));
    let ours = all_trailers(plans).into_iter().chain(signed).map(plain);
    let mut lines: Vec<String> = Vec::new();
    for line in trailers.into_iter().chain(ours) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let text = if text.is_empty() { NOTHING_SAID } else { text.as_str() };
    match lines.as_slice() {
        [] => format!("{text}\n"),
        lines => format!("{text}\n\n{}\n", lines.join("\n")),
    }
}

/// What is said of several plans at once: a subject that the users' template makes for all together, and a section for each. Where a template names
/// `.Applications`, it makes one text for all plans that have it.
fn together(plans: &[&GitPlan]) -> Said {
    let templates = plans.iter().filter_map(|plan| plan.commit.template.as_deref());
    let naming: BTreeSet<&str> = templates.filter(|template| template.contains(ALL)).collect();
    let told = naming.into_iter().filter_map(|template| Some((template, Some(told_once(plans, template)?))));
    let mut told: BTreeMap<&str, Option<Said>> = told.collect();
    let subject = subject(plans);
    let mut sections: Vec<Said> = Vec::new();
    for plan in plans {
        match plan.commit.template.as_deref().and_then(|template| told.get_mut(template)) {
            Some(said) => sections.extend(said.take()),
            None => sections.push(section(plan, &subject)),
        }
    }
    if let ([_], [_, _, ..]) = (sections.as_slice(), plans) {
        return sections.remove(0);
    }
    let mut all = Said { text: subject, trailers: Vec::new() };
    for Said { text, trailers } in sections {
        all.text = format!("{}\n\n{text}", all.text);
        all.trailers.extend(trailers);
    }
    all
}

/// What a template says of all plans that have it.
fn told_once(plans: &[&GitPlan], template: &str) -> Option<Said> {
    let having = plans.iter().filter(|plan| plan.commit.template.as_deref() == Some(template));
    told(&facts(having.copied()), template)
}

fn told(facts: &[Facts], template: &str) -> Option<Said> {
    let message = Facts::message_of(&facts.iter().collect::<Vec<_>>(), template).ok()?;
    Some(Said::of(&message)).filter(|said| !said.text.is_empty())
}

/// The first line for all plans: by the first template that a user gave, so that a rule of the server for subjects holds for it, too. Where that fails,
/// the first line of the plan that has it.
fn subject(plans: &[&GitPlan]) -> String {
    let Some(first) = plans.iter().find(|plan| plan.commit.template.is_some()).or(plans.first()) else {
        return NOTHING_SAID.to_owned();
    };
    let template = first.commit.template.as_deref().unwrap_or(DEFAULT_MESSAGE);
    let said = told(&facts(plans.iter().copied()), template).unwrap_or_else(|| Said::of(&first.commit.message));
    said.text.lines().next().unwrap_or(NOTHING_SAID).to_owned()
}

/// What templates see of plans, each Application once.
fn facts<'a>(plans: impl Iterator<Item = &'a GitPlan>) -> Vec<Facts> {
    let mut all: Vec<Facts> = Vec::new();
    for Facts { application, namespace, policy, target_key, changes } in plans.map(|plan| &plan.commit.facts) {
        let same = |facts: &&mut Facts| facts.application == *application && facts.namespace == *namespace;
        if let Some(known) = all.iter_mut().find(same) {
            if known.policy != *policy {
                known.policy = format!("{}, {policy}", known.policy);
            }
            known.changes.extend(changes.iter().cloned());
        } else {
            all.push(Facts {
                application: application.clone(),
                namespace: namespace.clone(),
                policy: policy.clone(),
                target_key: target_key.clone(),
                changes: changes.clone(),
            });
        }
    }
    all
}

/// The changes of one of several Applications: its message, under its name where its subject does not say it, and without a subject that is that of
/// the commit.
fn section(plan: &GitPlan, subject: &str) -> Said {
    let Said { text, trailers } = Said::of(&plan.commit.message);
    let name = &plan.application.name;
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let text = match rest.trim_start_matches('\n') {
        "" if first == subject => name.clone(),
        rest if first == subject => format!("{name}:\n{rest}"),
        _ if says(first, name) => text,
        _ => format!("{name}: {text}"),
    };
    Said { text, trailers }
}

/// Whether a line names an Application, as a word of its own.
fn says(line: &str, name: &str) -> bool {
    let inside = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
    line.split(|character| !inside(character)).any(|word| word.trim_matches('.') == name)
}

/// A message, taken apart.
struct Said {
    /// What stands before the trailers, without an empty line around it.
    text: String,
    /// The trailers, each with the lines that go on with it.
    trailers: Vec<String>,
}

impl Said {
    /// Takes a message apart as git-interpret-trailers(1) does: trailers are the lines `Key: value` of the last paragraph, but not of the first,
    /// where nothing else stands there, or one that Git makes itself and at most three times as many other lines.
    fn of(message: &str) -> Self {
        let message = cleaned(message);
        let Some((before, last)) = message.rsplit_once("\n\n") else {
            return Self { text: message, trailers: Vec::new() };
        };
        let (mut others, mut trailers): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
        let mut in_trailer = false;
        for line in last.lines() {
            match trailers.last_mut() {
                Some(trailer) if in_trailer && line.starts_with([' ', '\t']) => *trailer = format!("{trailer}\n{line}"),
                _ => {
                    in_trailer = is_trailer(line);
                    if in_trailer { trailers.push(line.to_owned()) } else { others.push(line) }
                }
            }
        }
        let by_git = trailers.iter().any(|trailer| BY_GIT.iter().any(|start| trailer.starts_with(start)));
        let text = match others.as_slice() {
            [] => before.to_owned(),
            others if by_git && others.len() <= 3 * trailers.len() => format!("{before}\n\n{}", others.join("\n")),
            _ => return Self { text: message, trailers: Vec::new() },
        };
        Self { text, trailers }
    }
}

/// Whether a line is a trailer as Git has them: letters, digits and hyphens, then a colon.
fn is_trailer(line: &str) -> bool {
    let key = line.split_once(':').map(|(key, _)| key.trim_end_matches([' ', '\t']));
    let plain = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    line.starts_with(BY_GIT[1]) || key.is_some_and(plain)
}

/// A message as `git commit -F` leaves it: no blanks at the end of a line, no empty lines around it, one between paragraphs. Characters that
/// control a terminal, or end the text for Git, are left out.
fn cleaned(message: &str) -> String {
    let shown = |character: &char| matches!(character, '\n' | '\t') || !character.is_control();
    let message: String = message.chars().filter(shown).collect();
    let mut lines: Vec<&str> = Vec::new();
    for line in message.lines().map(str::trim_end) {
        if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(line);
        }
    }
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommitAuthor, CommitPlan, CommitVia, GitAccess, GitBranch};

    fn change(labels: &[(&str, &str)]) -> ChangeFacts {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ChangeFacts { labels, ..ChangeFacts::default() }
    }

    fn said(changes: &[ChangeFacts]) -> String {
        references(changes).iter().fold(String::new(), |said, (key, value)| said + &format!("{key}: {value}\n"))
    }

    #[test]
    fn what_images_were_built_from_is_told_where_it_is_one_commit() {
        let built = |revision, source| change(&[(REVISION, revision), (SOURCE, source)]);
        let one = built("0123abcd", "https://git.example/org/web");
        let expected =
            "Argocd-reference-commit-repourl: https://git.example/org/web\nArgocd-reference-commit-sha: 0123abcd\n";
        assert_eq!(said(&[one.clone(), one.clone()]), expected);
        assert_eq!(said(&[change(&[(REVISION, "0123abcd")])]), "Argocd-reference-commit-sha: 0123abcd\n");
        assert_eq!(said(&[one.clone(), built("fedcba98", "https://git.example/org/web")]), "", "two commits");
        assert_eq!(said(&[one, change(&[])]), "", "an image that does not say");
        assert_eq!(said(&[]), "");
    }

    #[test]
    fn labels_that_name_no_commit_or_no_plain_address_are_left_out() {
        for revision in ["", "main", "0123ab", "0123ABCD", "0123abcd\nSigned-off-by: x", &"0".repeat(41)] {
            assert_eq!(said(&[change(&[(REVISION, revision)])]), "", "{revision}");
        }
        for source in [
            "",
            "git@git.example:org/web",
            "https://",
            "https://user:word@git.example/web",
            "javascript:x",
            "https://a b",
        ] {
            let said = said(&[change(&[(REVISION, "0123abcd"), (SOURCE, source)])]);
            assert_eq!(said, "Argocd-reference-commit-sha: 0123abcd\n", "{source}");
        }
    }

    fn plan(name: &str, message: &str, trailers: Vec<(String, String)>) -> GitPlan {
        let base = GitBranch {
            repository: "https://git.example/web".to_owned(),
            branch: None,
            access: GitAccess::ArgoCd { project: "default".to_owned() },
        };
        GitPlan {
            policy: PolicyId::new("argocd", "web"),
            base,
            write_branch: None,
            files: Vec::new(),
            edits: Vec::new(),
            commit: CommitPlan {
                via: CommitVia::Git,
                message: message.to_owned(),
                template: None,
                facts: Facts { application: name.to_owned(), ..Facts::default() },
                trailers,
                alone: false,
                author: CommitAuthor { name: "fairlead".to_owned(), email: "fairlead@example.com".to_owned() },
                sign_off: false,
                signing: None,
            },
            application: ApplicationId::new("argocd", name),
        }
    }

    #[test]
    fn a_commit_for_several_applications_refers_to_one_commit_of_the_code_or_none() {
        let plan = |name: &str, revision: &str| {
            plan(name, &format!("update {name}"), references(&[change(&[(REVISION, revision)])]))
        };
        let (one, same, other, silent) =
            (plan("a", "0123abcd"), plan("b", "0123abcd"), plan("c", "fedcba98"), plan("d", ""));
        let refers = |plans: &[&GitPlan]| combined(plans).matches("Argocd-reference-commit-sha: ").count();
        assert_eq!((refers(&[&one, &same, &silent]), refers(&[&one, &other]), refers(&[&silent])), (1, 0, 0));
    }

    /// The message of one Application, with a trailer of ours.
    fn alone(message: &str) -> String {
        combined(&[&plan("web", message, vec![("Ours".to_owned(), "x".to_owned())])])
    }

    #[test]
    fn trailers_of_a_template_stay_trailers() {
        insta::assert_snapshot!(alone("build: x\n\nbody\n\nCo-authored-by: A <a@b.c>\nRefs: #12\n  and #13"), @"
        build: x

        body

        Co-authored-by: A <a@b.c>
        Refs: #12
          and #13
        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x\n\nbody: of\nno trailer"), @"
        build: x

        body: of
        no trailer

        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x"), @"
        build: x

        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x\n\nwhy\nSigned-off-by: A <a@b.c>"), @"
        build: x

        why

        Signed-off-by: A <a@b.c>
        Ours: x
        ");
        insta::assert_snapshot!(alone("build: x\n\nhttp://a.b is\nOurs: x"), @"
        build: x

        http://a.b is
        Ours: x
        ");
        let (one, other) = (
            plan("web", "update web\n\nRefs: #1\nRefs: #2", Vec::new()),
            plan("api", "update api\n\nbody\n\nRefs: #1", vec![("Ours".to_owned(), "x".to_owned())]),
        );
        let said = combined(&[&one, &other]);
        assert!(said.ends_with("\n\nbody\n\nRefs: #1\nRefs: #2\nOurs: x\n"), "{said}");
    }

    #[test]
    fn a_message_is_cleaned_as_git_does() {
        assert_eq!(alone("\n\n  lead  \n\n\n \n\nx\ty\t\r\n\n"), "  lead\n\nx\ty\n\nOurs: x\n");
        assert_eq!(alone("a\0b\u{1b}[31m"), "ab[31m\n\nOurs: x\n");
        assert_eq!(alone(" \n\0\n"), "Update container image versions\n\nOurs: x\n");
        assert_eq!(alone("# no comment"), "# no comment\n\nOurs: x\n");
    }

    /// The message of a commit for the Applications of some templates.
    fn shared(of: &[(&str, Option<&str>)]) -> String {
        let plans: Vec<GitPlan> = of
            .iter()
            .map(|(name, template)| {
                let change = |tag: &str| ChangeFacts {
                    image: format!("org/{name}"),
                    old_tag: "1.0.0".to_owned(),
                    new_tag: tag.to_owned(),
                    ..ChangeFacts::default()
                };
                let facts = Facts {
                    application: (*name).to_owned(),
                    namespace: "argocd".to_owned(),
                    policy: "argocd/web".to_owned(),
                    target_key: "0123abcd".to_owned(),
                    changes: vec![change("1.0.1")],
                };
                let message = facts.message(template.unwrap_or(DEFAULT_MESSAGE)).unwrap();
                let mut plan = plan(name, &message, Vec::new());
                plan.commit.template = template.map(str::to_owned);
                plan.commit.facts = facts;
                plan
            })
            .collect();
        combined(&plans.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_shared_commit_has_the_subject_of_the_users() {
        const EACH: &str =
            "chore({{ .AppName }}): images\n\n{{ range .AppChanges }}- {{ .Image }} {{ .NewTag }}\n{{ end }}\nRefs: #1";
        const SAME: &str = "chore: images\n\n{{ range .AppChanges }}- {{ .Image }} {{ .NewTag }}\n{{ end }}";
        const ALL: &str = "chore: {{ len .Applications }} apps\n\n{{ range .Applications }}{{ .Name }}:{{ range .Changes }} {{ .Image }}{{ end }}\n{{ end }}";
        insta::assert_snapshot!(shared(&[("web", None), ("api", None)]), @"
        build: automatic update of 2 applications

        build: automatic update of web

        updates image org/web tag '1.0.0' to '1.0.1'

        build: automatic update of api

        updates image org/api tag '1.0.0' to '1.0.1'
        ");
        insta::assert_snapshot!(shared(&[("web", Some(EACH)), ("api", Some(EACH))]), @"
        chore(2 applications): images

        chore(web): images

        - org/web 1.0.1

        chore(api): images

        - org/api 1.0.1

        Refs: #1
        ");
        insta::assert_snapshot!(shared(&[("web", Some(SAME)), ("api", Some(SAME))]), @"
        chore: images

        web:
        - org/web 1.0.1

        api:
        - org/api 1.0.1
        ");
        insta::assert_snapshot!(shared(&[("web", Some(ALL)), ("api", Some(ALL)), ("db", Some(ALL))]), @"
        chore: 3 apps

        web: org/web
        api: org/api
        db: org/db
        ");
        insta::assert_snapshot!(shared(&[("web", None), ("api", Some(ALL)), ("db", Some(ALL))]), @"
        chore: 3 apps

        build: automatic update of web

        updates image org/web tag '1.0.0' to '1.0.1'

        chore: 2 apps

        api: org/api
        db: org/db
        ");
        insta::assert_snapshot!(shared(&[("web", Some("fix: slice {{ slice .AppName 0 3 }}")), ("web", Some("fix: more"))]), @"
        fix: slice web

        web

        web: fix: more
        ");
        let failing = "fix: x{{ if gt (len .Applications) 1 }}{{ slice .AppName 0 99 }}{{ end }}";
        insta::assert_snapshot!(shared(&[("web", Some(failing)), ("api", Some(failing))]), @"
        fix: x

        web

        api
        ");
    }

    #[test]
    fn an_application_is_named_by_whole_words_alone() {
        for (line, named) in [
            ("chore: a thing", true),
            ("chore: an image", false),
            ("chore(a): x", true),
            ("take a.", true),
            ("a-b, x.a", false),
        ] {
            assert_eq!(says(line, "a"), named, "{line}");
        }
    }
}
