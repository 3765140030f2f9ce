//! Where the server binaries come from: paths in the environment, else built once from pinned Go modules into a cache folder.

use std::path::PathBuf;

use crate::recipe::{PLAIN, Recipe};

/// The server binaries.
#[derive(Debug, Clone)]
pub struct Tools {
    /// etcd.
    pub etcd: PathBuf,
    /// The Kubernetes API server.
    pub kube_apiserver: PathBuf,
    /// The CNCF distribution registry.
    pub registry: PathBuf,
    /// Helm.
    pub helm: PathBuf,
    /// Prometheus.
    pub prometheus: PathBuf,
    /// Prometheus' tool for rules.
    pub promtool: PathBuf,
}

/// Unstamped, the server names a version that is no version, and clients stumble over it.
const KUBERNETES_LDFLAGS: &str = "-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=36 -X k8s.io/component-base/version.gitCommit=e2e \
    -X k8s.io/component-base/version.gitTreeState=clean \
    -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3 -X k8s.io/client-go/pkg/version.gitMajor=1 \
    -X k8s.io/client-go/pkg/version.gitMinor=36";

const ETCD: Recipe = Recipe {
    name: "etcd",
    variable: "FAIRLEAD_E2E_ETCD",
    module: "kubernetes",
    package: "go.etcd.io/etcd/server/v3",
    in_assets: true,
    ..PLAIN
};
const KUBE_APISERVER: Recipe = Recipe {
    name: "kube-apiserver",
    variable: "FAIRLEAD_E2E_KUBE_APISERVER",
    module: "kubernetes",
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
    ldflags: KUBERNETES_LDFLAGS,
    in_assets: true,
    ..PLAIN
};
const REGISTRY: Recipe = Recipe {
    name: "registry",
    variable: "FAIRLEAD_E2E_REGISTRY",
    module: "registry",
    package: "github.com/distribution/distribution/v3/cmd/registry",
    ..PLAIN
};

/// Unstamped, it takes itself for another version, and the oldest Kubernetes for the one to render for.
const HELM_LDFLAGS: &str = "-s -w \
    -X helm.sh/helm/v3/internal/version.version=v3.22.0 -X helm.sh/helm/v3/internal/version.gitTreeState=clean \
    -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=36 \
    -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=36";
const HELM: Recipe = Recipe {
    name: "helm",
    variable: "FAIRLEAD_E2E_HELM",
    module: "helm",
    package: "helm.sh/helm/v3/cmd/helm",
    ldflags: HELM_LDFLAGS,
    ..PLAIN
};

/// Targets are written down, so it needs no client of any cloud to find them.
const WITHOUT_DISCOVERY: &str = "remove_all_sd";
const PROMETHEUS: Recipe = Recipe {
    name: "prometheus",
    variable: "FAIRLEAD_E2E_PROMETHEUS",
    module: "prometheus",
    package: "github.com/prometheus/prometheus/cmd/prometheus",
    tags: WITHOUT_DISCOVERY,
    ..PLAIN
};
const PROMTOOL: Recipe = Recipe {
    name: "promtool",
    variable: "FAIRLEAD_E2E_PROMTOOL",
    package: "github.com/prometheus/prometheus/cmd/promtool",
    ..PROMETHEUS
};

/// What Argo CD needs beside [`Tools`].
#[derive(Debug, Clone)]
pub struct ArgoCdTools {
    /// The controllers of Kubernetes.
    pub kube_controller_manager: PathBuf,
    /// Its scheduler.
    pub kube_scheduler: PathBuf,
    /// Plays kubelets.
    pub kwok: PathBuf,
    /// Kustomize.
    pub kustomize: PathBuf,
    /// All servers of Argo CD; beside it its CRDs, `manifests/crds`.
    pub argocd: PathBuf,
    /// Keeps the caches of Argo CD.
    pub redis: PathBuf,
    /// Gitea; beside it what it reads: `templates` and `options`.
    pub gitea: PathBuf,
}

const KUBE_CONTROLLER_MANAGER: Recipe = Recipe {
    name: "kube-controller-manager",
    variable: "FAIRLEAD_E2E_KUBE_CONTROLLER_MANAGER",
    // Apart from the API server, which needs far less.
    module: "kubernetes-nodes",
    package: "k8s.io/kubernetes/cmd/kube-controller-manager",
    ldflags: KUBERNETES_LDFLAGS,
    ..PLAIN
};
const KUBE_SCHEDULER: Recipe = Recipe {
    name: "kube-scheduler",
    variable: "FAIRLEAD_E2E_KUBE_SCHEDULER",
    module: "kubernetes-nodes",
    package: "k8s.io/kubernetes/cmd/kube-scheduler",
    ldflags: KUBERNETES_LDFLAGS,
    ..PLAIN
};
const KWOK: Recipe = Recipe {
    name: "kwok",
    variable: "FAIRLEAD_E2E_KWOK",
    module: "kwok",
    package: "sigs.k8s.io/kwok/cmd/kwok",
    ..PLAIN
};
const KUSTOMIZE: Recipe = Recipe {
    name: "kustomize",
    variable: "FAIRLEAD_E2E_KUSTOMIZE",
    module: "kustomize",
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    ..PLAIN
};
const ARGOCD: Recipe = Recipe {
    name: "argocd",
    variable: "FAIRLEAD_E2E_ARGOCD",
    module: "argocd",
    package: "github.com/argoproj/argo-cd/v3/cmd",
    ldflags: "-s -w -X github.com/argoproj/argo-cd/v3/common.version=3.2.11",
    beside: &["manifests/crds"],
    ..PLAIN
};
const REDIS: Recipe = Recipe { name: "redis", variable: "FAIRLEAD_E2E_REDIS", module: "redis", package: ".", ..PLAIN };
const GITEA: Recipe = Recipe {
    name: "gitea",
    variable: "FAIRLEAD_E2E_GITEA",
    module: "gitea",
    package: "code.gitea.io/gitea",
    ldflags: "-s -w -X main.Version=1.26.0",
    tags: "sqlite,sqlite_unlock_notify",
    beside: &["templates", "options"],
    ..PLAIN
};

impl Tools {
    /// The binaries, built if need be. `tell` is called before each build, which takes minutes on a new machine.
    ///
    /// # Errors
    /// A sentence that says what is missing and what to do.
    pub fn find(tell: &dyn Fn(&str)) -> Result<Self, String> {
        Ok(Self {
            etcd: ETCD.find(tell)?,
            kube_apiserver: KUBE_APISERVER.find(tell)?,
            registry: REGISTRY.find(tell)?,
            helm: HELM.find(tell)?,
            prometheus: PROMETHEUS.find(tell)?,
            promtool: PROMTOOL.find(tell)?,
        })
    }
}

impl ArgoCdTools {
    /// The same as [`Tools::find`]; on a new machine it takes a quarter of an hour.
    ///
    /// # Errors
    /// A sentence that says what is missing and what to do.
    pub fn find(tell: &dyn Fn(&str)) -> Result<Self, String> {
        Ok(Self {
            kube_controller_manager: KUBE_CONTROLLER_MANAGER.find(tell)?,
            kube_scheduler: KUBE_SCHEDULER.find(tell)?,
            kwok: KWOK.find(tell)?,
            kustomize: KUSTOMIZE.find(tell)?,
            argocd: ARGOCD.find(tell)?,
            redis: REDIS.find(tell)?,
            gitea: GITEA.find(tell)?,
        })
    }
}
