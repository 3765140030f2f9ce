//! What the chart renders: snapshots for sets of values, refusals, and files that are taken as they are.

use std::fs;
use std::path::PathBuf;

use fairlead_e2e::Helm;
use fairlead_e2e::helm::{objects, root};
use serde_json::Value;

/// One file of `charts/fairlead/ci/`.
pub struct ValueSet {
    pub name: String,
    pub path: PathBuf,
    pub namespace: String,
}

impl ValueSet {
    /// All of them. The first line of each says how it is installed.
    pub fn all() -> Vec<Self> {
        let folder = root().join("charts/fairlead/ci");
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("values are text");
        let command = text.lines().next().unwrap_or_default();
        let namespace = command.split_once("--namespace ").and_then(|(_, rest)| rest.split(' ').next());
        let namespace = namespace.unwrap_or_else(|| panic!("`{}` does not say how it is installed", path.display()));
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a readable name").to_owned();
        Self { name, namespace: namespace.to_owned(), path }
    }

    pub fn values(&self) -> Value {
        let text = fs::read_to_string(&self.path).expect("values are text");
        serde_saphyr::from_str(&text).expect("values are YAML")
    }

    pub fn render(&self, helm: &Helm) -> String {
        let arguments = ["--values", self.path.to_str().expect("a readable name"), "--set", "crds.install=false"];
        helm.template(&self.namespace, &arguments).unwrap_or_else(|words| panic!("{}: {words}", self.name))
    }
}

/// The snapshots are what `tests/chart.rs` judges, without helm.
#[test]
fn sets_of_values_render_as_before() {
    let helm = Helm::offline();
    let sets = ValueSet::all();
    let folder = root().join("tests/snapshots/chart");
    for set in &sets {
        let rendered = set.render(&helm);
        let path = folder.join(format!("{}.yaml", set.name));
        if std::env::var_os("FAIRLEAD_UPDATE_GENERATED").is_some() {
            fs::create_dir_all(&folder).expect("a folder can be made");
            fs::write(&path, &rendered).expect("a snapshot can be written");
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        let line = known.lines().zip(rendered.lines()).position(|(known, now)| known != now).unwrap_or_default();
        assert!(known == rendered, "`{}` is stale from line {}: `make chart-snapshots`", path.display(), line + 1);
    }
    let kept = fs::read_dir(folder).expect("the folder is there").count();
    assert_eq!((kept, sets.len() >= 10), (sets.len(), true), "a snapshot without values, or too few sets");
}

#[test]
fn helm_finds_nothing_to_complain_of() {
    let helm = Helm::offline();
    for set in ValueSet::all() {
        let words = helm.lint(&set.path).unwrap_or_else(|words| panic!("{}: {words}", set.name));
        assert!(words.contains("0 chart(s) failed") && !words.contains("[WARNING]"), "{}: {words}", set.name);
    }
}

#[test]
fn values_that_mean_nothing_stop_the_installation_and_say_what_to_do() {
    let helm = Helm::offline();
    let cases: &[(&[&str], &str)] = &[
        (&["replicas=2", "extraArgs={--leader-elect=off}"], "take `--leader-elect=off` out of extraArgs"),
        (&["replicaCount=3", "extraArgs={--leader-elect=false}"], "would all act at once without a leader"),
        (&["scope=cluster", "watchNamespaces={argocd}"], "leave one of the two out"),
        (&["scope=cluster", "createClusterRoles=false"], "name the namespaces in watchNamespaces"),
        (&["config.watch\\.namespaces=*", "createClusterRoles=false"], "name the namespaces in watchNamespaces"),
        (&["image.variant=minimal", "authScripts.enabled=true"], "use `image.variant: full`"),
        (&["ingress.enabled=true"], "set webhook.enabled"),
        (&["service.enabled=true"], "set webhook.enabled"),
        (&["webhook.enabled=true"], "webhook.secretName is needed"),
        (&["route.enabled=true", "webhook.enabled=true", "webhook.secretName=x"], "route.parentRefs is needed"),
        (&["certificateSecret.enabled=true"], "name it in webhook.tlsSecretName"),
        (&["containerPorts.health=8081"], "health and metrics share the port"),
        (&["metrics.enabled=false", "metrics.serviceMonitor.enabled=true"], "needs the Service of metrics.enabled"),
        (&["metrics.serviceMonitor.scheme=https"], "served over plain http"),
        (&["config.disableKubeEvents=true"], "config.disableKubeEvents: events are written on changes only"),
        (&["config.kube\\.events=true"], "config.kube.events: events are written on changes only"),
        (&["config.gitCommitUser=bot"], "config.gitCommitUser: is said by each policy"),
        (&["config.git\\.commit-message-template=x"], "config.git.commit-message-template: is said by each policy"),
        (&["config.interval=5m"], "config.interval: is said by each policy, in spec.interval"),
        (&["config.sshConfig.config=Host"], "mount a file of your own"),
        (&["config.applicationsAPIKind=argocd", "config.argocd.tokenSecret.name="], "the Secret with the token"),
        (&["config.applicationsAPIKind=argocd", "imageUpdaters.enabled=true"], "ImageUpdaters are not taken up"),
        (
            &["config.applicationsAPIKind=argocd", "config.argocd.plaintext=true", "config.argocd.caConfigMap=x"],
            "there is no certificate to check",
        ),
        (&["config.webhook\\.require-secret=false"], "never taken"),
        (&["extraArgs={--interval,2m}"], "the binary does not know `--interval`: each policy has its own"),
        (&["extraArgs={--loglevel=debug}"], "it is config.logLevel"),
        (&["extraEnv[0].name=IMAGE_UPDATER_INTERVAL,extraEnv[0].value=1m"], "`IMAGE_UPDATER_INTERVAL` has no effect"),
        // What the schema catches.
        (&["watchNamespace={argocd}"], "additional properties 'watchNamespace' not allowed"),
        (&["config.registriez[0].name=x"], "additional properties 'registriez' not allowed"),
        (&["config.registries[0].name=x,config.registries[0].apiurl=y"], "additional properties 'apiurl' not allowed"),
        (&["scope=all"], "value must be one of 'namespace', 'cluster'"),
        (&["replicas=two"], "got string, want integer"),
    ];
    for (sets, words) in cases {
        let arguments: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let said = helm.template("argocd", &arguments).expect_err("the values must be refused");
        assert!(said.contains(words), "{sets:?}: `{words}` is not in: {said}");
    }
}

#[test]
fn a_leader_is_elected_by_leases_of_the_own_namespace() {
    let arguments = ["--set", "replicas=2", "--set", "argocd.namespace=argocd"];
    let rendered = objects(&Helm::offline().template("updates", &arguments).expect("it renders"));
    let roles: Vec<&Value> = rendered.iter().filter(|object| object["kind"] == "Role").collect();
    let leases = |role: &&&Value| role["rules"].to_string().contains("leases");
    let leasing: Vec<&&Value> = roles.iter().filter(leases).collect();
    assert_eq!(leasing.len(), 1);
    assert_eq!(leasing[0]["metadata"]["namespace"], "updates");
    assert_eq!(leasing[0]["rules"][1]["resourceNames"][0], "updater-fairlead");
    let deployment = rendered.iter().find(|object| object["kind"] == "Deployment").expect("there is one");
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["spec"]["strategy"]["type"]),
        (&2.into(), &"RollingUpdate".into())
    );
    let flags = |sets: &[&str]| {
        let arguments: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let text = Helm::offline().template("updates", &arguments).expect("it renders");
        let flags = text.lines().map(|line| line.trim().trim_matches(['-', ' ', '"']));
        flags.filter(|flag| flag.starts_with("lea")).map(str::to_owned).collect::<Vec<_>>()
    };
    let expected = ["leader-elect", "lease-name=updater-fairlead"];
    for sets in [
        &["replicas=2"][..],
        &["replicaCount=2"],
        &["extraArgs={--leader-elect}"],
        &["replicas=2", "extraArgs={--leader-elect}"],
    ] {
        let mut found = flags(sets);
        found.sort();
        assert_eq!(found, expected, "{sets:?}");
    }
    assert!(flags(&["replicas=1"]).is_empty(), "one needs no leader");
}

#[test]
fn the_definition_is_the_projects_and_stays_when_the_chart_goes() {
    let helm = Helm::offline();
    let ours = fs::read_to_string(root().join("crds/fairlead.dev_imageupdatepolicies.yaml")).expect("it is there");
    let ours: Value = serde_saphyr::from_str(&ours).expect("it is YAML");
    let definition = |arguments: &[&str]| {
        let rendered = objects(&helm.template("argocd", arguments).expect("it renders"));
        rendered.into_iter().find(|object| object["kind"] == "CustomResourceDefinition")
    };
    let kept = definition(&[]).expect("it is there");
    assert_eq!(kept["spec"], ours["spec"]);
    assert_eq!(kept["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let dropped = definition(&["--set", "crds.keep=false"]).expect("it is there");
    assert!(dropped["metadata"]["annotations"].get("helm.sh/resource-policy").is_none());
    assert!(definition(&["--set", "crds.install=false"]).is_none());
}

#[test]
fn alerts_and_dashboards_are_taken_as_the_files_are() {
    let arguments = ["--set", "metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true"];
    let rendered = objects(&Helm::offline().template("argocd", &arguments).expect("it renders"));
    let of = |kind: &str, name: &str| {
        let found = rendered.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let read = |path: &str| fs::read_to_string(root().join("charts/fairlead/files").join(path)).expect("it is there");
    let alerts: Value = serde_saphyr::from_str(&read("alerts/fairlead.yaml")).expect("alerts are YAML");
    assert_eq!(of("PrometheusRule", "updater-fairlead")["spec"], alerts);
    let dashboards = of("ConfigMap", "updater-fairlead-dashboards");
    let data = dashboards["data"].as_object().expect("texts");
    assert_eq!(data.keys().collect::<Vec<_>>(), ["fleet.json", "troubleshooting.json"]);
    for (name, text) in data {
        assert_eq!(text.as_str(), Some(read(&format!("dashboards/{name}")).as_str()), "{name}");
    }
    assert_eq!(dashboards["metadata"]["labels"]["grafana_dashboard"], "1");
}
