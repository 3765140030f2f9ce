//! How one server is found or built, and where its binary is kept.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// One server: where it is looked for, and how it is built.
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    /// The variable that names a binary to be used instead.
    pub(crate) variable: &'static str,
    /// The folder under `e2e/tools/`.
    pub(crate) module: &'static str,
    pub(crate) package: &'static str,
    pub(crate) ldflags: &'static str,
    /// Whether `KUBEBUILDER_ASSETS` holds it.
    pub(crate) in_assets: bool,
    /// Build tags, separated by commas.
    pub(crate) tags: &'static str,
    /// Folders of the package's module that are kept beside the binary, which reads them when it runs.
    pub(crate) beside: &'static [&'static str],
}

/// What most servers need no more than.
pub(crate) const PLAIN: Recipe = Recipe {
    name: "",
    variable: "",
    module: "",
    package: "",
    ldflags: "-s -w",
    in_assets: false,
    tags: "",
    beside: &[],
};

/// How Go is called; part of the key of the cache.
const BUILD_FLAGS: [&str; 4] = ["-p", "2", "-trimpath", "-mod=readonly"];
const GOFLAGS: &str = "-buildvcs=false";

impl Recipe {
    /// The binary, built if need be.
    pub(crate) fn find(&self, tell: &dyn Fn(&str)) -> Result<PathBuf, String> {
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
            for path in self.beside {
                self.keep(&module, path, &folder)?;
            }
            self.build(&module, &binary)?;
        }
        drop(lock);
        Ok(binary)
    }

    /// Builds beside the final place and renames, so that a binary is there whole or not at all.
    fn build(&self, module: &Path, binary: &Path) -> Result<(), String> {
        let unfinished = binary.with_extension(format!("{}.unfinished", std::process::id()));
        let mut arguments = vec!["build"];
        arguments.extend(BUILD_FLAGS);
        arguments.extend(["-tags", self.tags, "-ldflags", self.ldflags, "-o"]);
        let mut command = go(module, &arguments);
        self.run(command.arg(&unfinished).arg(self.package))?;
        fs::rename(&unfinished, binary).map_err(|cause| format!("cannot rename to `{}`: {cause}", binary.display()))
    }

    /// Copies a folder of the package's module.
    fn keep(&self, module: &Path, path: &str, folder: &Path) -> Result<(), String> {
        let root = self.run(&mut go(module, &["list", "-mod=readonly", "-f", "{{.Module.Dir}}", self.package]))?;
        let from = Path::new(root.trim()).join(path);
        copy(&from, &folder.join(path)).map_err(|cause| format!("cannot keep `{}`: {cause}", from.display()))
    }

    /// What Go says.
    fn run(&self, command: &mut Command) -> Result<String, String> {
        let output = command.output().map_err(|cause| {
            format!(
                "the tests need `{}`, and `go` cannot be started to build it: {cause}; install Go 1.26 or newer, \
                 or name a binary in {}",
                self.name, self.variable
            )
        })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("Go failed at `{}` in e2e/tools/{}:\n{text}", self.package, self.module));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn key(&self, module: &Path) -> Result<String, String> {
        let mut hash = Sha256::new();
        let sources = if self.package == "." { vec!["go.mod", "go.sum", "main.go"] } else { vec!["go.mod", "go.sum"] };
        for path in sources.iter().map(|file| module.join(file)) {
            hash.update(fs::read(&path).map_err(|cause| format!("cannot read `{}`: {cause}", path.display()))?);
        }
        for text in BUILD_FLAGS.iter().chain([&GOFLAGS, &self.ldflags, &self.package]) {
            hash.update(text);
            hash.update([0]);
        }
        for text in [self.tags].iter().chain(self.beside).filter(|text| !text.is_empty()) {
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

/// Go, to be run in a module.
fn go(module: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    command.args(arguments).current_dir(module).env("GOFLAGS", GOFLAGS).env("GOWORK", "off");
    command
}

/// Copies a folder; what is there already is written over.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &place)?;
        } else {
            // The files of modules may not be written to, and their copies have to be removed one day.
            fs::write(place, fs::read(&path)?)?;
        }
    }
    Ok(())
}
