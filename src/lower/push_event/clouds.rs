//! Events of the registries of clouds, in their own forms and as `CloudEvents`.

use serde_json::Value;

use super::{Event, MalformedEvent, Push, needed, text};

type Pushes = Result<Vec<Push>, MalformedEvent>;

/// `EventBridge`'s own form, the same within a `CloudEvent`, or a `CloudEvent` that spells the fields by itself.
pub(super) fn ecr(event: &Event<'_>) -> Pushes {
    let body = event.body;
    let data = body.get("data").unwrap_or(&Value::Null);
    if body.get("detail").is_some() {
        ecr_native(event, body)
    } else if data.get("detail").is_some() {
        ecr_native(event, data)
    } else if body.get("specversion").is_some() {
        ecr_cloud_event(event, data)
    } else {
        Err(MalformedEvent::Missing("detail.repository-name".to_owned()))
    }
}

fn ecr_native(event: &Event<'_>, body: &Value) -> Pushes {
    let pushed = text(body, "/detail-type") == Some("ECR Image Action")
        && text(body, "/detail/action-type") == Some("PUSH")
        && text(body, "/detail/result").is_none_or(|result| result == "SUCCESS");
    if !pushed {
        return Ok(Vec::new());
    }
    let registry = ecr_host(needed(body, "/account")?, needed(body, "/region")?);
    let path = needed(body, "/detail/repository-name")?;
    Ok(vec![event.push("detail.repository-name", Some(&registry), path, text(body, "/detail/image-tag"))?])
}

/// `source` is `urn:aws:ecr:REGION:ACCOUNT:repository/NAME`, or an ARN, which has one part more.
fn ecr_cloud_event(event: &Event<'_>, data: &Value) -> Pushes {
    let kind = needed(event.body, "/type")?;
    if !kind.starts_with("com.amazon.ecr.") || !kind.to_ascii_lowercase().contains("push") {
        return Ok(Vec::new());
    }
    let mut parts = text(event.body, "/source").unwrap_or_default().split(':').skip_while(|part| *part != "ecr");
    let (region, account) = (parts.nth(1), parts.next());
    let account = text(data, "/registryId").or(account);
    let registry = match (account, region) {
        (Some(account), Some(region)) => Some(ecr_host(account, region)),
        _ => None,
    };
    let (subject, subject_tag) = match text(event.body, "/subject").unwrap_or_default().split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (text(event.body, "/subject").unwrap_or_default(), None),
    };
    let path = text(data, "/repositoryName").unwrap_or(subject);
    if path.is_empty() {
        return Err(MalformedEvent::Missing("data.repositoryName".to_owned()));
    }
    let tag = text(data, "/imageTag").or(subject_tag);
    Ok(vec![event.push("data.repositoryName", registry.as_deref(), path, tag)?])
}

fn ecr_host(account: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("{account}.dkr.ecr.{region}.amazonaws.com{suffix}")
}

/// The registry's own webhook; and Event Grid, as `CloudEvents` or in its own form, one or a list.
pub(super) fn acr(event: &Event<'_>) -> Pushes {
    let events = event.body.as_array().map_or(std::slice::from_ref(event.body), Vec::as_slice);
    let mut pushes = Vec::new();
    for one in events {
        let data = one.get("data").unwrap_or(one);
        let kind = text(one, "/type").or_else(|| text(one, "/eventType"));
        if kind.is_some_and(|kind| kind != "Microsoft.ContainerRegistry.ImagePushed")
            || needed(data, "/action")? != "push"
        {
            continue;
        }
        let path = needed(data, "/target/repository")?;
        let registry = text(data, "/request/host");
        pushes.push(event.push("target.repository", registry, path, text(data, "/target/tag"))?);
    }
    Ok(pushes)
}

/// `Microsoft.EventGrid.SubscriptionValidationEvent`, alone in its list. Its `validationUrl` is not looked at.
pub(super) fn validation_code(body: &Value) -> Option<&str> {
    let events = body.as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    let [event] = events else { return None };
    let asks = text(event, "/eventType") == Some("Microsoft.EventGrid.SubscriptionValidationEvent");
    let code = text(event, "/data/validationCode").filter(|_| asks)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (code.len() <= 128 && code.bytes().all(plain)).then_some(code)
}

/// The public address and the one within a private network are told both.
pub(super) fn aliyun(event: &Event<'_>) -> Pushes {
    let body = event.body;
    let tag = text(body, "/push_data/tag");
    let path = match text(body, "/repository/repo_full_name") {
        Some(path) => path.to_owned(),
        None => format!("{}/{}", needed(body, "/repository/namespace")?, needed(body, "/repository/name")?),
    };
    let registries: Vec<Option<String>> = match text(body, "/repository/region") {
        Some(region) => {
            ["registry", "registry-vpc"].iter().map(|name| Some(format!("{name}.{region}.aliyuncs.com"))).collect()
        }
        None => vec![None],
    };
    let push = |registry: &Option<String>| event.push("repository.repo_full_name", registry.as_deref(), &path, tag);
    registries.iter().map(push).collect()
}
