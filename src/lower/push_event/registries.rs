//! Events of registries that people run or rent, and of pipelines.

use serde_json::Value;

use super::{Event, MalformedEvent, Push, host, list, needed, push, text};

type Pushes = Result<Vec<Push>, MalformedEvent>;

/// `{"repository": {"repo_name": "org/app"}, "push_data": {"tag": "1.0"}}`
pub(super) fn docker_hub(event: &Event<'_>) -> Pushes {
    let tag = text(event.body, "/push_data/tag");
    let path = needed(event.body, "/repository/repo_name")?;
    Ok(vec![event.push("repository.repo_name", Some("docker.io"), path, tag)?])
}

/// Event `package` or `registry_package` of a container package.
pub(super) fn ghcr(event: &Event<'_>) -> Pushes {
    let kind = event.header("x-github-event");
    let pointer = if event.body.get("package").is_some() { "/package" } else { "/registry_package" };
    let package = event.body.pointer(pointer).unwrap_or(&Value::Null);
    let container = |kind: &str| kind.eq_ignore_ascii_case("container") || kind.eq_ignore_ascii_case("docker");
    let other_kind = kind.is_some_and(|kind| kind != "package" && kind != "registry_package");
    if other_kind || text(package, "/package_type").is_some_and(|kind| !container(kind)) {
        return Ok(Vec::new());
    }
    if !text(event.body, "/action").is_some_and(|action| action == "published" || action == "updated") {
        return Ok(Vec::new());
    }
    let version = package.get("package_version").unwrap_or(&Value::Null);
    let tag = text(version, "/container_metadata/tag/name").or_else(|| text(version, "/version"));
    let owner = text(package, "/owner/login").or_else(|| text(package, "/namespace"));
    let owner = owner.ok_or_else(|| MalformedEvent::Missing("package.owner.login".to_owned()))?;
    let path = format!("{owner}/{}", needed(package, "/name")?);
    Ok(vec![event.push("package.name", Some("ghcr.io"), &path, tag)?])
}

/// Harbor's own form, and its `CloudEvents`.
pub(super) fn harbor(event: &Event<'_>) -> Pushes {
    let data = match text(event.body, "/type") {
        Some("PUSH_ARTIFACT") => event.body.get("event_data"),
        Some("harbor.artifact.pushed") => event.body.get("data"),
        Some(_) => return Ok(Vec::new()),
        None => return Err(MalformedEvent::Missing("type".to_owned())),
    };
    let data = data.unwrap_or(&Value::Null);
    let path = needed(data, "/repository/repo_full_name")?;
    let push = |resource: &Value| {
        let registry = text(resource, "/resource_url").and_then(host);
        event.push("event_data.repository.repo_full_name", registry, path, text(resource, "/tag"))
    };
    list(data, "/resources").iter().map(push).collect()
}

/// `{"docker_url": "quay.io/org/app", "updated_tags": ["1.0"]}`
pub(super) fn quay(event: &Event<'_>) -> Pushes {
    let registry = text(event.body, "/docker_url").and_then(host).unwrap_or("quay.io");
    let tag = list(event.body, "/updated_tags").first().and_then(Value::as_str);
    Ok(vec![event.push("repository", Some(registry), needed(event.body, "/repository")?, tag)?])
}

/// Event `package` of a container package; also of Forgejo.
pub(super) fn gitea(event: &Event<'_>) -> Pushes {
    let kind = event.header("x-gitea-event").or_else(|| event.header("x-forgejo-event"));
    if kind.is_some_and(|kind| kind != "package") || text(event.body, "/action").is_some_and(|it| it != "created") {
        return Ok(Vec::new());
    }
    let package = event.body.get("package").unwrap_or(&Value::Null);
    if needed(package, "/type")? != "container" {
        return Ok(Vec::new());
    }
    let owner = text(package, "/owner/login").or_else(|| text(package, "/owner/username"));
    let owner = owner.ok_or_else(|| MalformedEvent::Missing("package.owner.login".to_owned()))?;
    let registry = text(package, "/html_url").filter(|url| url.contains("://")).and_then(host);
    let path = format!("{owner}/{}", needed(package, "/name")?);
    Ok(vec![event.push("package.name", registry, &path, text(package, "/version"))?])
}

/// Notifications of a CNCF distribution registry, which GitLab's is one of. Layers and untagged manifests are no news.
///
/// The registry has one name for those who push and maybe another for those who pull: both are told.
pub(super) fn distribution(event: &Event<'_>) -> Pushes {
    let Some(events) = event.body.get("events").and_then(Value::as_array) else {
        // GitLab sends events of projects to the same kind of address.
        return if text(event.body, "/object_kind").is_some() {
            Ok(Vec::new())
        } else {
            Err(MalformedEvent::Missing("events[].target.repository".to_owned()))
        };
    };
    let mut pushes = Vec::new();
    for one in events.iter().filter(|one| text(one, "/action") == Some("push")) {
        let Some(tag) = text(one, "/target/tag") else { continue };
        let path = needed(one, "/target/repository")?;
        let named = text(one, "/target/url").and_then(host);
        let asked = text(one, "/request/host").filter(|asked| Some(*asked) != named && named.is_some());
        pushes.push(event.push("target.repository", named.or_else(|| text(one, "/request/host")), path, Some(tag))?);
        if asked.is_some() {
            pushes.push(event.push("target.repository", asked, path, Some(tag))?);
        }
    }
    Ok(pushes)
}

/// `{"image": "ghcr.io/org/app:1.0"}`, or `{"images": […]}`.
pub(super) fn generic(event: &Event<'_>) -> Pushes {
    let one = text(event.body, "/image").map(|image| push("image", image, None));
    let several = list(event.body, "/images").iter().enumerate().map(|(index, image)| {
        let field = format!("images[{index}]");
        match image.as_str() {
            Some(image) => push(&field, image, None),
            None => Err(MalformedEvent::Missing(field)),
        }
    });
    let pushes: Vec<_> = one.into_iter().chain(several).collect::<Result<_, _>>()?;
    if pushes.is_empty() { Err(MalformedEvent::Missing("image".to_owned())) } else { Ok(pushes) }
}
