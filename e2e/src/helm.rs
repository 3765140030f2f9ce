//! The chart, by the real helm.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::folder;
use crate::tools::Tools;

/// Helm, with folders of its own.
#[derive(Debug, Clone)]
pub struct Helm {
    binary: PathBuf,
    chart: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// With the project's chart, and no cluster.
    pub fn offline() -> Self {
        let tools = Tools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
        Self { binary: tools.helm, chart: root().join("charts/fairlead"), kubeconfig: None }
    }

    /// With a cluster.
    pub fn with_cluster(kubeconfig: &Path) -> Self {
        Self { kubeconfig: Some(kubeconfig.to_owned()), ..Self::offline() }
    }

    /// What `helm template` prints, or what it says when it fails.
    ///
    /// # Errors
    /// The words of helm.
    pub fn template(&self, namespace: &str, arguments: &[&str]) -> Result<String, String> {
        let output = self.run(&["template", "updater"], namespace, arguments);
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// What `helm lint --strict` says of a file of values.
    ///
    /// # Errors
    /// The words of helm.
    pub fn lint(&self, values: &Path) -> Result<String, String> {
        let values = display(values);
        let output = self.run(&["lint", "--strict"], "argocd", &["--values", &values]);
        let words = text(&output.stdout) + &text(&output.stderr);
        if output.status.success() { Ok(words) } else { Err(words) }
    }

    /// Installs the chart with these values, and says what helm says.
    pub fn install(&self, release: &str, namespace: &str, values: &Value, arguments: &[&str]) -> String {
        let path = folder().join(format!("{namespace}-{release}-values.json"));
        std::fs::write(&path, values.to_string()).expect("the temporary folder takes files");
        let mut all = vec!["--values", path.to_str().expect("a readable name")];
        all.extend(arguments);
        succeeded(&self.run(&["install", release], namespace, &all))
    }

    /// Upgrades a release, and says what helm says.
    pub fn upgrade(&self, release: &str, namespace: &str, arguments: &[&str]) -> String {
        succeeded(&self.run(&["upgrade", release], namespace, arguments))
    }

    /// Uninstalls a release, and says what helm says.
    pub fn uninstall(&self, release: &str, namespace: &str) -> String {
        succeeded(&self.run(&["uninstall", release], namespace, &[]))
    }

    fn run(&self, words: &[&str], namespace: &str, arguments: &[&str]) -> Output {
        let home = folder().join("helm");
        let mut command = Command::new(&self.binary);
        command.args(words);
        if words[0] != "uninstall" {
            command.arg(&self.chart);
        }
        command.args(["--namespace", namespace]).args(arguments);
        for (variable, name) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, home.join(name));
        }
        for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        let nobody = folder().join("no-cluster");
        command.env("KUBECONFIG", self.kubeconfig.as_ref().unwrap_or(&nobody)).env("HELM_MAX_HISTORY", "1");
        command.output().unwrap_or_else(|cause| panic!("cannot start `{}`: {cause}", self.binary.display()))
    }
}

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The objects of a stream of YAML documents.
pub fn objects(stream: &str) -> Vec<Value> {
    serde_saphyr::from_multiple::<Value>(stream)
        .expect("rendered objects are YAML")
        .into_iter()
        .filter(|object| !object.is_null())
        .collect()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "helm failed: {}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn display(path: &Path) -> String {
    path.to_str().expect("a readable name").to_owned()
}
