//! Where the server binaries come from: paths in the environment, else built once from pinned Go modules into a cache folder.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

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
}

/// One server: where it is looked for, and how it is built.
struct Recipe {
    name: &'static str,
    variable: &'static str,
    /// The folder under `e2e/tools/`.
    module: &'static str,
    package: &'static str,
    ldflags: &'static str,
    /// Whether `KUBEBUILDER_ASSETS` holds it.
    in_assets: bool,
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
    ldflags: "-s -w",
    in_assets: true,
};
const KUBE_APISERVER: Recipe = Recipe {
    name: "kube-apiserver",
    variable: "FAIRLEAD_E2E_KUBE_APISERVER",
    module: "kubernetes",
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
    ldflags: KUBERNETES_LDFLAGS,
    in_assets: true,
};
const REGISTRY: Recipe = Recipe {
    name: "registry",
    variable: "FAIRLEAD_E2E_REGISTRY",
    module: "registry",
    package: "github.com/distribution/distribution/v3/cmd/registry",
    ldflags: "-s -w",
    in_assets: false,
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
    in_assets: false,
};

/// How Go is called; part of the key of the cache.
const BUILD_FLAGS: [&str; 4] = ["-p", "2", "-trimpath", "-mod=readonly"];
const GOFLAGS: &str = "-buildvcs=false";

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
        })
    }
}

impl Recipe {
    fn find(&self, tell: &dyn Fn(&str)) -> Result<PathBuf, String> {
        if let Some(path) = env::var_os(self.variable) {
            return existing(PathBuf::from(path), self.variable);
        }
        if let (true, Some(folder)) = (self.in_assets, env::var_os("KUBEBUILDER_ASSETS")) {
            return existing(Path::new(&folder).join(self.name), "KUBEBUILDER_ASSETS");
        }
        self.built(tell)
    }

    fn built(&self, tell: &dyn Fn(&str)) -> Result<PathBuf, String> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(self.module);
        let folder = cache_folder()?.join(self.key(&module)?);
        let binary = folder.join(self.name);
        if binary.is_file() {
            return Ok(binary);
        }
        fs::create_dir_all(&folder).map_err(|cause| format!("cannot create `{}`: {cause}", folder.display()))?;
        let lock = File::create(folder.join(format!("{}.lock", self.name)))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|cause| format!("cannot lock `{}`: {cause}", folder.display()))?;
        if !binary.is_file() {
            tell(&format!("building {} from e2e/tools/{}; a new machine takes minutes for it", self.name, self.module));
            self.build(&module, &binary)?;
        }
        drop(lock);
        Ok(binary)
    }

    /// Builds beside the final place and renames, so that a binary is there whole or not at all.
    fn build(&self, module: &Path, binary: &Path) -> Result<(), String> {
        let unfinished = binary.with_extension(format!("{}.unfinished", std::process::id()));
        let output = Command::new("go")
            .arg("build")
            .args(BUILD_FLAGS)
            .args(["-ldflags", self.ldflags, "-o"])
            .arg(&unfinished)
            .arg(self.package)
            .current_dir(module)
            .env("GOFLAGS", GOFLAGS)
            .env("GOWORK", "off")
            .output()
            .map_err(|cause| {
                format!(
                    "the tests need `{}`, and `go` cannot be started to build it: {cause}; install Go 1.26 or newer, \
                     or name a binary in {}",
                    self.name, self.variable
                )
            })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`go build {}` failed in e2e/tools/{}:\n{text}", self.package, self.module));
        }
        fs::rename(&unfinished, binary).map_err(|cause| format!("cannot rename to `{}`: {cause}", binary.display()))
    }

    fn key(&self, module: &Path) -> Result<String, String> {
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            let path = module.join(file);
            hash.update(fs::read(&path).map_err(|cause| format!("cannot read `{}`: {cause}", path.display()))?);
        }
        for text in BUILD_FLAGS.iter().chain([&GOFLAGS, &self.ldflags, &self.package]) {
            hash.update(text);
            hash.update([0]);
        }
        let digest = crate::images::hex(&hash.finalize());
        Ok(format!("{}-{}", self.name, &digest[..16]))
    }
}

fn existing(path: PathBuf, variable: &str) -> Result<PathBuf, String> {
    if path.is_file() { Ok(path) } else { Err(format!("{variable} leads to `{}`, which is no file", path.display())) }
}

fn cache_folder() -> Result<PathBuf, String> {
    env::var_os("FAIRLEAD_E2E_CACHE")
        .map(PathBuf::from)
        .or_else(|| env::var_os("XDG_CACHE_HOME").map(|folder| Path::new(&folder).join("fairlead-e2e")))
        .or_else(|| env::var_os("HOME").map(|folder| Path::new(&folder).join(".cache/fairlead-e2e")))
        .ok_or_else(|| "no folder for the test servers: set FAIRLEAD_E2E_CACHE or HOME".to_owned())
}
