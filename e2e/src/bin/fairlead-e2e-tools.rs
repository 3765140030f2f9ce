//! Builds the servers that the tests need, and nothing else, so that a new machine shows what it is doing. With the word `argocd`
//! those that Argo CD needs, too.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use fairlead_e2e::tools::{ArgoCdTools, Tools};

fn main() -> ExitCode {
    let tell = |text: &str| {
        // Nobody may be listening; the build goes on.
        let _ = writeln!(io::stderr(), "{text}");
    };
    match paths(&tell, std::env::args().any(|argument| argument == "argocd")) {
        Ok(paths) => {
            for path in paths {
                tell(&format!("{}", path.display()));
            }
            ExitCode::SUCCESS
        }
        Err(text) => {
            tell(&text);
            ExitCode::FAILURE
        }
    }
}

fn paths(tell: &dyn Fn(&str), argocd: bool) -> Result<Vec<PathBuf>, String> {
    let tools = Tools::find(tell)?;
    let mut paths = vec![tools.etcd, tools.kube_apiserver, tools.registry, tools.helm];
    paths.extend([tools.prometheus, tools.promtool]);
    if argocd {
        let more = ArgoCdTools::find(tell)?;
        paths.extend([more.kube_controller_manager, more.kube_scheduler, more.kwok, more.kustomize]);
        paths.extend([more.argocd, more.redis, more.gitea]);
    }
    Ok(paths)
}
