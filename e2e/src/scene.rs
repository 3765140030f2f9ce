//! What one test has for itself: a namespace, a repository prefix, a ServiceAccount with the chart's rights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::fairlead::api::{AppProject, Application, ImageState, ImageUpdatePolicy};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::audit::{self, AuditEntry};
use crate::eventually::{Deadline, eventually};
use crate::fairlead::{Configured, Fairlead, Settings, kubeconfig};
use crate::registry::Registry;
use crate::servers::{ADMINISTRATOR_TOKEN, Servers, install_tls, write};

/// Long enough for whatever should happen soon, on a busy machine too.
const SOON: u64 = 20;

/// One test's part of the world.
#[derive(Clone)]
pub struct Scene {
    /// Its namespace; repositories are prefixed by it, too.
    pub namespace: String,
    /// A client that may do everything.
    pub client: Client,
    /// A client with Fairlead's rights.
    pub fairlead_client: Client,
    /// The kubeconfig of somebody who may do everything.
    pub administrator: PathBuf,
    kubeconfig: PathBuf,
    servers: &'static Servers,
}

/// What a policy that is not ready must say.
#[derive(Debug, Clone, Copy)]
pub struct Unready<'a> {
    /// The reason of `Ready`.
    pub reason: &'a str,
    /// Whether a person has to act: `Stalled=True`, else `Reconciling=True`.
    pub stalled: bool,
    /// What the message must contain.
    pub says: &'a [&'a str],
}

impl Scene {
    /// A new one; `name` appears in the names of its things.
    pub async fn new(name: &str) -> Self {
        let servers = tokio::task::spawn_blocking(Servers::shared).await;
        Self::on(servers.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())), name).await
    }

    /// A new one, on these servers.
    pub(crate) async fn on(servers: &'static Servers, name: &str) -> Self {
        let access = |who: &str, token: &str| {
            kubeconfig(&format!("{name}-{who}"), &servers.api_server, &servers.authority, token)
        };
        let administrator = access("administrator", ADMINISTRATOR_TOKEN);
        let client = connect(&administrator).await;
        let namespace = name.to_owned();
        let namespaces = Api::<Namespace>::all(client.clone());
        if namespaces.get_opt(name).await.expect("namespaces can be read").is_none() {
            create(&namespaces, json!({"metadata": {"name": namespace}})).await;
        }
        let token = service_account(&client, &namespace).await;
        let kubeconfig = access("fairlead", &token);
        let fairlead_client = connect(&kubeconfig).await;
        Self { namespace, client, fairlead_client, administrator, kubeconfig, servers }
    }

    /// A kubeconfig with the token of a ServiceAccount, and a client with it.
    pub async fn access_of(&self, namespace: &str, account: &str) -> (PathBuf, Client) {
        let token = token_of(&self.client, namespace, account).await;
        let name = format!("{namespace}-{account}");
        let path = kubeconfig(&name, &self.servers.api_server, &self.servers.authority, &token);
        let client = connect(&path).await;
        (path, client)
    }

    /// A second namespace of this scene, `<namespace>-<name>`.
    pub async fn another_namespace(&self, name: &str) -> String {
        let namespace = format!("{}-{name}", self.namespace);
        self.namespace_called(&namespace).await;
        namespace
    }

    /// A namespace with a name of its own.
    pub(crate) async fn namespace_called(&self, name: &str) {
        create::<Namespace>(&Api::all(self.client.clone()), json!({"metadata": {"name": name}})).await;
    }

    /// The registry that lets everybody in.
    pub fn registry(&self) -> &'static Registry {
        &self.servers.registry
    }

    /// The registry that asks for a login.
    pub fn closed_registry(&self) -> &'static Registry {
        &self.servers.closed_registry
    }

    /// A kubeconfig with Fairlead's rights that reaches the API server through `address`.
    pub fn kubeconfig_through(&self, address: &str) -> PathBuf {
        let text = std::fs::read_to_string(&self.kubeconfig).expect("the kubeconfig was written");
        let path = write(&format!("{}-through-{}.kubeconfig", self.namespace, address.replace(':', "-")), "");
        let text = text.replace(&self.servers.api_server, &format!("https://{address}"));
        std::fs::write(&path, text).expect("the temporary folder takes files");
        path.into()
    }

    /// The address of the API server, `127.0.0.1:…`.
    pub fn api_server(&self) -> &str {
        self.servers.api_server.trim_start_matches("https://")
    }

    /// The servers, to be ill-treated by a test that has them for itself.
    pub fn servers(&self) -> &'static Servers {
        self.servers
    }

    /// A repository of this scene.
    pub fn repository(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// The image of a repository of this scene, at the open registry.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{}", self.registry().address, self.repository(name))
    }

    /// Starts Fairlead, for this namespace alone, and waits until it is ready.
    pub async fn start(&self) -> Fairlead {
        self.start_with(&[]).await
    }

    /// The same, with more registries that are spoken to over plain HTTP.
    pub async fn start_with(&self, plain_http: &[&str]) -> Fairlead {
        Fairlead::start(self.settings(plain_http)).await
    }

    fn settings(&self, plain_http: &[&str]) -> Settings {
        let mut addresses = vec![self.registry().address.clone(), self.closed_registry().address.clone()];
        addresses.extend(plain_http.iter().map(|&address| address.to_owned()));
        Settings::new(&self.namespace, self.kubeconfig.clone(), addresses)
    }

    /// What `fairlead explain` says of an Application, asked with Fairlead's rights.
    pub async fn explain(&self, application: &str, arguments: &[&str]) -> String {
        self.settings(&[]).explain(application, arguments).await
    }

    /// The same, taking webhooks; each secret is that of a source.
    pub async fn start_with_webhooks(&self, plain_http: &[&str], secrets: &[(&str, &str)]) -> Fairlead {
        Fairlead::start(self.settings(plain_http).with_webhooks(secrets)).await
    }

    /// The same, set up by an administrator.
    pub async fn start_configured(&self, plain_http: &[&str], configured: Configured) -> Fairlead {
        Fairlead::start(self.settings(plain_http).with(configured)).await
    }

    /// The Applications of this scene, whole objects.
    pub fn applications(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<Application>(&()))
    }

    /// The policies of this scene, with whatever a person may have written.
    pub fn raw_policies(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<ImageUpdatePolicy>(&()))
    }

    /// Objects of a kind of Kubernetes itself.
    pub fn objects<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an Application with one source, of the type that Argo CD would find in it.
    pub async fn application(&self, name: &str, source: Value) -> DynamicObject {
        self.application_with(name, &json!({}), source).await
    }

    /// The same, with metadata.
    pub async fn application_with(&self, name: &str, metadata: &Value, mut source: Value) -> DynamicObject {
        let kind = ["helm", "kustomize", "plugin", "directory"].into_iter().find(|kind| source.get(kind).is_some());
        let kind = kind.unwrap_or("directory");
        let source_type = format!("{}{}", kind[..1].to_uppercase(), &kind[1..]);
        let usual =
            [("repoURL", "https://git.example.com/fleet.git"), ("path", "apps/web"), ("targetRevision", "main")];
        for (field, value) in usual.into_iter().filter(|(field, _)| source.get(field).is_none()).collect::<Vec<_>>() {
            source[field] = json!(value);
        }
        let mut object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata,
            "spec": {
                "project": "default",
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
                "source": source,
                "syncPolicy": {"automated": {"prune": true}, "retry": {"limit": 3}},
            },
            "status": {"sourceType": source_type, "sync": {"status": "Synced"}, "health": {"status": "Healthy"}},
        });
        object["metadata"]["name"] = json!(name);
        create(&self.applications(), object).await
    }

    /// A Helm source whose chart takes `image.name` and `image.tag`.
    pub fn helm(image: &str, tag: &str) -> Value {
        json!({"helm": {
            "releaseName": "web",
            "values": "replicas: 2\n",
            "parameters": [
                {"name": "image.name", "value": image, "forceString": true},
                {"name": "replicas", "value": "2"},
                {"name": "image.tag", "value": tag, "forceString": true},
            ],
        }})
    }

    /// Creates a policy.
    pub async fn policy(&self, name: &str, spec: Value) {
        create(&self.raw_policies(), policy_object(name, &spec)).await;
    }

    /// Creates a policy that the API server must refuse, and returns its words.
    pub async fn refused_policy(&self, name: &str, spec: Value) -> String {
        let object = serde_json::from_value(policy_object(name, &spec)).expect("an object");
        match self.raw_policies().create(&PostParams::default(), &object).await {
            Ok(object) => panic!("the API server took what it should refuse: {:#}", object.data),
            Err(cause) => cause.to_string(),
        }
    }

    /// Replaces the specification of a policy.
    pub async fn change_policy(&self, name: &str, spec: &Value) {
        let patch = Patch::Json::<()>(
            serde_json::from_value(json!([{"op": "replace", "path": "/spec", "value": spec}])).expect("a patch"),
        );
        let patched = self.raw_policies().patch(name, &PatchParams::default(), &patch).await;
        patched.expect("a policy can be changed");
    }

    /// Asks for a reconcile now, as a person would.
    pub async fn touch(&self, name: &str) {
        static TOUCHES: AtomicU32 = AtomicU32::new(0);
        let text = format!("touch-{}", TOUCHES.fetch_add(1, Ordering::Relaxed));
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"fairlead.dev/reconcile-at": text}}}));
        let patched = self.raw_policies().patch(name, &PatchParams::default(), &patch).await;
        patched.expect("a policy can be touched");
    }

    /// A policy, with its status.
    pub async fn read_policy(&self, name: &str) -> ImageUpdatePolicy {
        self.objects::<ImageUpdatePolicy>().get(name).await.expect("the policy can be read")
    }

    /// An Application as it is now, without what the API server counts by itself.
    pub async fn read_application(&self, name: &str) -> Value {
        let object = self.applications().get(name).await.expect("the Application can be read");
        comparable(&object)
    }

    /// The value of a Helm parameter of an Application.
    pub async fn parameter(&self, application: &str, parameter: &str) -> Option<String> {
        parameter_of(&self.read_application(application).await, parameter)
    }

    /// Waits until a Helm parameter holds `value`.
    pub async fn expect_parameter(&self, application: &str, parameter: &str, value: &str, allowed: Duration) {
        let what = format!("`{parameter}` of `{application}` is `{value}`");
        eventually(&what, Deadline::after(allowed), async || match self.parameter(application, parameter).await {
            Some(found) if found == value => Ok(()),
            other => Err((other, self.conditions().await)),
        })
        .await;
    }

    /// Waits until `image.tag` holds `value`.
    pub async fn expect_tag(&self, application: &str, value: &str) {
        self.expect_parameter(application, "image.tag", value, Duration::from_secs(SOON)).await;
    }

    /// Waits until a policy is ready, about its present generation.
    pub async fn expect_ready(&self, policy: &str) -> ImageUpdatePolicy {
        self.expect_policy(policy, "it is ready", Deadline::seconds(SOON), |object| {
            condition(object, "Ready").is_some_and(|ready| ready.0 == "True")
                && condition(object, "Stalled").is_none_or(|stalled| stalled.0 != "True")
        })
        .await
    }

    /// Waits until a policy says why it is not ready.
    pub async fn expect_unready(&self, policy: &str, unready: Unready<'_>) -> ImageUpdatePolicy {
        self.expect_unready_by(policy, unready, Deadline::seconds(SOON)).await
    }

    /// The same, with a deadline.
    pub async fn expect_unready_by(&self, policy: &str, unready: Unready<'_>, deadline: Deadline) -> ImageUpdatePolicy {
        let what = format!("it says {unready:?}");
        self.expect_policy(policy, &what, deadline, |object| {
            let kind = if unready.stalled { "Stalled" } else { "Reconciling" };
            let other = if unready.stalled { "Reconciling" } else { "Stalled" };
            condition(object, "Ready").is_some_and(|(status, reason, message)| {
                status == "False" && reason == unready.reason && unready.says.iter().all(|part| message.contains(part))
            }) && condition(object, kind).is_some_and(|found| found.0 == "True")
                && condition(object, other).is_none_or(|found| found.0 != "True")
        })
        .await
    }

    /// Waits until the status of a policy, speaking of its present generation, is as wished.
    pub async fn expect_policy(
        &self,
        name: &str,
        what: &str,
        deadline: Deadline,
        wish: impl Fn(&ImageUpdatePolicy) -> bool,
    ) -> ImageUpdatePolicy {
        eventually(&format!("policy `{name}`: {what}"), deadline, async || {
            let object = self.read_policy(name).await;
            let observed = object.status.as_ref().and_then(|status| status.observed_generation);
            if observed == object.metadata.generation && wish(&object) { Ok(object) } else { Err(object.status) }
        })
        .await
    }

    /// Waits until no image of a policy waits for anything.
    pub async fn expect_settled(&self, policy: &str) -> ImageUpdatePolicy {
        self.expect_policy(policy, "every image is up to date", Deadline::seconds(SOON), |object| {
            object.status.as_ref().is_some_and(|status| {
                let done = |state| matches!(state, ImageState::UpToDate | ImageState::Updated);
                !status.images.is_empty() && status.images.iter().all(|image| done(image.state))
            })
        })
        .await
    }

    /// Creates a pull secret.
    pub async fn pull_secret(&self, name: &str, docker_config: &str) {
        let object = json!({
            "metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": docker_config},
        });
        create(&self.objects::<Secret>(), object).await;
    }

    /// Creates a Secret of texts by which Argo CD would know a repository.
    pub async fn repository_secret(&self, name: &str, data: &Value) {
        let labels = json!({"argocd.argoproj.io/secret-type": "repository"});
        let object = json!({"metadata": {"name": name, "labels": labels}, "stringData": data});
        create(&self.objects::<Secret>(), object).await;
    }

    /// Creates a project of Argo CD.
    pub async fn project(&self, name: &str, spec: &Value) {
        let resource = ApiResource::erase::<AppProject>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": name}, "spec": spec,
        });
        create(&api, object).await;
    }

    /// Creates a Secret of texts.
    pub async fn secret(&self, name: &str, data: &Value) {
        create(&self.objects::<Secret>(), json!({"metadata": {"name": name}, "stringData": data})).await;
    }

    /// The events of this scene, in both spellings of the API one list.
    pub async fn events(&self) -> Vec<Event> {
        self.objects::<Event>().list(&ListParams::default()).await.expect("events can be listed").items
    }

    /// What Fairlead wrote in this scene up to now, or tried to write, oldest first.
    pub async fn writes(&self) -> Vec<AuditEntry> {
        self.writes_of("fairlead").await
    }

    /// The same of another ServiceAccount.
    pub async fn writes_of(&self, account: &str) -> Vec<AuditEntry> {
        let user = format!("system:serviceaccount:{}:{account}", self.namespace);
        self.audit().await.into_iter().filter(|entry| entry.user == user).collect()
    }

    /// How often each Application was changed since it was created, whoever did it. The audit log would not do: of a request whose
    /// client is gone it does not know how it ended.
    pub async fn changes(&self) -> BTreeMap<String, i64> {
        let all = self.applications().list(&ListParams::default()).await.expect("Applications can be listed");
        let changes = |object: DynamicObject| (object.name_any(), object.metadata.generation.unwrap_or_default() - 1);
        all.into_iter().map(changes).collect()
    }

    /// Every write in this scene up to now. A marker that the log must show tells that it is complete.
    async fn audit(&self) -> Vec<AuditEntry> {
        static MARKERS: AtomicU32 = AtomicU32::new(0);
        let marker = format!("marker-{}", MARKERS.fetch_add(1, Ordering::Relaxed));
        create(&self.objects::<ConfigMap>(), json!({"metadata": {"name": marker}})).await;
        eventually("the audit log shows the marker", Deadline::seconds(SOON), async || {
            let mut entries = audit::entries(self.servers);
            entries.retain(|entry| entry.namespace == self.namespace);
            if entries.iter().any(|entry| entry.name == marker) { Ok(entries) } else { Err(entries.len()) }
        })
        .await
    }

    /// What all policies say, for the messages of failed tests.
    pub(crate) async fn conditions(&self) -> Vec<String> {
        let list = self.objects::<ImageUpdatePolicy>().list(&ListParams::default()).await;
        let policies = list.map(|list| list.items).unwrap_or_default();
        let say = |policy: &ImageUpdatePolicy| format!("{:?}: {:?}", policy.metadata.name, condition(policy, "Ready"));
        policies.iter().map(say).collect()
    }
}

/// Status, reason and message of a condition.
pub fn condition(policy: &ImageUpdatePolicy, kind: &str) -> Option<(String, String, String)> {
    let conditions = &policy.status.as_ref()?.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

/// An object without what the API server counts by itself.
pub fn comparable(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).expect("an object is JSON");
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for field in ["resourceVersion", "generation", "managedFields"] {
            metadata.remove(field);
        }
    }
    value
}

/// The value of a Helm parameter.
pub fn parameter_of(application: &Value, parameter: &str) -> Option<String> {
    let parameters = application.pointer("/spec/source/helm/parameters")?.as_array()?;
    let found = parameters.iter().find(|entry| entry["name"] == parameter)?;
    found["value"].as_str().map(str::to_owned)
}

/// The rules of the chart, as they stand in its one file.
pub fn chart_rules() -> Vec<PolicyRule> {
    rules_of(&["rules", "rules-webhook", "rules-annotations", "rules-imageupdaters", "rules-git", "rules-leases"])
}

/// The rules of some of the chart's files.
pub(crate) fn rules_of(names: &[&str]) -> Vec<PolicyRule> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/fairlead/files");
    let read = |name: &&str| {
        let path = folder.join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("`{}`: {cause}", path.display()));
        let rules: Vec<PolicyRule> =
            serde_saphyr::from_str(&text).unwrap_or_else(|cause| panic!("`{}`: {cause}", path.display()));
        rules
    };
    names.iter().flat_map(read).collect()
}

fn policy_object(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "fairlead.dev/v1alpha1", "kind": "ImageUpdatePolicy", "metadata": {"name": name}, "spec": spec})
}

async fn connect(kubeconfig: &Path) -> Client {
    install_tls();
    let read = Kubeconfig::read_from(kubeconfig).expect("our own kubeconfig");
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.expect("our own");
    config.proxy_url = None;
    Client::try_from(config).expect("a client can be made")
}

async fn service_account(client: &Client, namespace: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    create(&accounts, json!({"metadata": {"name": "fairlead"}})).await;
    let rules = chart_rules();
    create(
        &Api::<Role>::namespaced(client.clone(), namespace),
        json!({"metadata": {"name": "fairlead"}, "rules": rules}),
    )
    .await;
    let binding = json!({
        "metadata": {"name": "fairlead"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "fairlead"},
        "subjects": [{"kind": "ServiceAccount", "name": "fairlead", "namespace": namespace}],
    });
    create(&Api::<RoleBinding>::namespaced(client.clone(), namespace), binding).await;
    token_of(client, namespace, "fairlead").await
}

/// A token of a ServiceAccount, as its Pods get one.
async fn token_of(client: &Client, namespace: &str, account: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
    answer.expect("a token can be asked for").status.expect("a token request is answered").token
}

pub(crate) async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object: K = serde_json::from_value(object).expect("an object of its kind");
    api.create(&PostParams::default(), &object)
        .await
        .unwrap_or_else(|cause| panic!("cannot create {object:?}: {cause}"))
}
