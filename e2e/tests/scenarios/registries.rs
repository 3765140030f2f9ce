//! Real registries that are guarded: by a token service, by TLS of a private authority; and that no login ever shows.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairlead_e2e::{Configured, Fairlead, Guarded, Login, Scene, Unready};
use serde_json::{Value, json};

const WEBHOOK: &str = "canary-webhook-31aa";

fn login(password: &str) -> Login {
    Login { name: "puller".to_owned(), password: password.to_owned() }
}

fn docker_config(host: &str, user: &str, password: &str) -> String {
    json!({"auths": {host: {"username": user, "password": password}}}).to_string()
}

fn policy(application: &str, image: Value) -> Value {
    json!({"applications": [{"name": application}], "images": [image]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_a_token_service_opens_to_who_may_pull_and_to_nobody_else() {
    let scene = Scene::new("registries-tokens").await;
    let repository = scene.repository("app");
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let (registry, tokens) = Guarded::by_tokens(&scene.namespace, login("open sesame")).await;
    let (host, image) = (registry.address.as_str(), format!("{}/{repository}", registry.address));
    scene.pull_secret("good", &docker_config(host, "puller", "open sesame")).await;
    scene.pull_secret("bad", &docker_config(host, "puller", "guess")).await;
    scene.pull_secret("other", &docker_config(host, "somebody", "else")).await;
    scene.secret("login", &json!({"creds": "puller:open sesame"})).await;
    let _fairlead = scene.start_with(&[host]).await;
    let images = [
        ("good", json!({"image": image, "pullSecret": {"name": "good"}})),
        ("field", json!({"image": image, "credentials": "secret:login#creds"})),
        ("bad", json!({"image": image, "credentials": "bad"})),
        ("other", json!({"image": image, "credentials": "pullsecret:other"})),
        ("stranger", json!({"image": image})),
    ];
    for (name, image_spec) in images {
        scene.application(name, Scene::helm(&image, "1.0.0")).await;
        scene.policy(name, policy(name, image_spec)).await;
    }

    for name in ["good", "field"] {
        scene.expect_tag(name, "1.0.1").await;
        scene.expect_ready(name).await;
    }
    for (name, says) in [("bad", "token service"), ("other", "other"), ("stranger", "no pull secret")] {
        scene.expect_unready(name, Unready { reason: "RegistryDenied", stalled: true, says: &[says] }).await;
        assert_eq!(scene.parameter(name, "image.tag").await.as_deref(), Some("1.0.0"), "{name}");
    }
    let issued = tokens.issued();
    assert!(issued.iter().all(|issued| issued.scope == format!("repository:{repository}:pull")), "{issued:?}");
    let to_puller = issued.iter().filter(|issued| issued.user == "puller").count();
    assert_eq!(to_puller, 1, "one login and one repository share one token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_for_the_registry_that_names_it() {
    let scene = Scene::new("registries-tls").await;
    let (trusted, other) = (scene.repository("trusted/app"), scene.repository("other/app"));
    for repository in [&trusted, &other] {
        scene.registry().push_all(repository, &["1.0.0", "1.0.1"]).await;
    }
    let (registry, authority) = Guarded::by_tls(&scene.namespace).await;
    let (host, prefix) = (&registry.address, scene.repository("trusted"));
    let registries = format!(
        "registries: [{{name: Own, api_url: 'https://{host}', prefix: '{host}/{prefix}', ca_file: {authority}}}]"
    );
    let configured = Configured { registries: Some(registries), ..Configured::default() };
    let _fairlead = scene.start_configured(&[], configured).await;
    for (name, repository) in [("trusted", &trusted), ("other", &other)] {
        let image = format!("{host}/{repository}");
        scene.application(name, Scene::helm(&image, "1.0.0")).await;
        scene.policy(name, policy(name, json!({"image": image}))).await;
    }

    scene.expect_tag("trusted", "1.0.1").await;
    scene.expect_unready("other", Unready { reason: "TlsFailed", stalled: true, says: &[host] }).await;
    assert_eq!(scene.parameter("other", "image.tag").await.as_deref(), Some("1.0.0"));
}

const PASSWORD: &str = "canary-password-9c1d";
const WRONG: &str = "canary-wrong-77e0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_login_is_shown_anywhere_at_any_level() {
    let scene = Scene::new("registries-canary").await;
    let (repository, prefix) = (scene.repository("app"), scene.repository("scripted"));
    for repository in [&repository, &format!("{prefix}/app")] {
        scene.registry().push_all(repository, &["1.0.0", "1.0.1"]).await;
    }
    let (registry, tokens) = Guarded::by_tokens(&scene.namespace, login(PASSWORD)).await;
    let (host, image) = (registry.address.as_str(), format!("{}/{repository}", registry.address));
    scene.pull_secret("pull", &docker_config(host, "puller", PASSWORD)).await;
    scene.pull_secret("wrong", &docker_config(host, "puller", WRONG)).await;
    scene.secret("login", &json!({"creds": format!("puller:{PASSWORD}"), "broken": PASSWORD})).await;
    let folder = tempfile::tempdir().expect("a folder");
    let configured = with_canaries(host, &prefix, folder.path());
    let fairlead = scene.start_configured(&[host], configured).await;
    let good = [
        ("pull", json!({"image": image, "pullSecret": {"name": "pull"}})),
        ("field", json!({"image": image, "credentials": "secret:login#creds"})),
        ("variable", json!({"image": image, "credentials": "env:CANARY_LOGIN"})),
        ("script", json!({"image": format!("{host}/{prefix}/app")})),
    ];
    let bad = [
        ("wrong", json!({"image": image, "pullSecret": {"name": "wrong"}}), "RegistryDenied"),
        ("broken", json!({"image": image, "credentials": "secret:login#broken"}), "CredentialsUnavailable"),
        ("refused", json!({"image": image, "credentials": "env:HOME"}), "InvalidCredentials"),
    ];
    for (name, spec) in good.iter().chain(&bad.clone().map(|(name, spec, _)| (name, spec))) {
        let image = spec["image"].as_str().expect("an image is text");
        scene.application(name, Scene::helm(image, "1.0.0")).await;
        scene.policy(name, policy(name, spec.clone())).await;
    }
    for (name, _) in &good {
        scene.expect_tag(name, "1.0.1").await;
    }
    for (name, _, reason) in &bad {
        scene.expect_unready(name, Unready { reason, stalled: true, says: &[] }).await;
    }
    let event = json!({"image": format!("{image}:1.0.1")});
    assert_eq!(fairlead.webhook("generic", WEBHOOK, &event).await, 202);
    assert_eq!(fairlead.webhook("generic", WRONG, &event).await, 401);

    let shown = all_that_is_shown(&scene, &fairlead).await;
    let basic = |password: &str| STANDARD.encode(format!("puller:{password}")).trim_end_matches('=').to_owned();
    let mut secrets = vec![PASSWORD.to_owned(), WRONG.to_owned(), WEBHOOK.to_owned(), basic(PASSWORD), basic(WRONG)];
    // The signature of a token, which no other text has.
    let issued = tokens.issued();
    secrets.extend(issued.iter().filter_map(|issued| issued.token.rsplit_once('.')).map(|(_, end)| end.to_owned()));
    assert!(secrets.len() > 5, "a token was given out");
    for secret in secrets {
        let line = shown.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "`{secret}` is shown: {line:?}");
    }
}

/// An administrator's settings with a password in a variable and in a script, and the log at its loudest.
fn with_canaries(host: &str, prefix: &str, folder: &Path) -> Configured {
    use std::os::unix::fs::PermissionsExt as _;

    let script = folder.join("login.sh");
    std::fs::write(&script, format!("#!/bin/sh\necho {WRONG} >&2\necho puller:{PASSWORD}\n")).expect("a script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let registries = format!(
        "registries: [{{name: Own, api_url: 'http://{host}', prefix: '{host}/{prefix}', credentials: 'ext:{}'}}]",
        script.display()
    );
    let environment = vec![
        ("FAIRLEAD_LOG", "trace".to_owned()),
        ("FAIRLEAD_ALLOW_CREDENTIAL_SOURCES", "env:CANARY_LOGIN".to_owned()),
        ("CANARY_LOGIN", format!("puller:{PASSWORD}")),
    ];
    Configured {
        registries: Some(registries),
        environment,
        webhooks: vec![("generic", WEBHOOK)],
        ..Configured::default()
    }
}

/// Logs, metrics, events, policies, Applications and the audit log.
async fn all_that_is_shown(scene: &Scene, fairlead: &Fairlead) -> String {
    let mut shown = vec![fairlead.log(), fairlead.page("/metrics").await, format!("{:?}", scene.writes().await)];
    shown.push(serde_json::to_string(&scene.events().await).expect("events are JSON"));
    for api in [scene.raw_policies(), scene.applications()] {
        let list = api.list(&kube::api::ListParams::default()).await.expect("they can be listed");
        shown.push(serde_json::to_string(&list.items).expect("objects are JSON"));
    }
    let shown = shown.join("\n");
    for proof in ["TRACE", "fairlead_webhook_requests_total", "InvalidCredentials", "secrets/login"] {
        assert!(shown.contains(proof), "`{proof}` is missing: it was not all looked at");
    }
    shown
}
