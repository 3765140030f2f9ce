//! Builds the servers that the tests need, and nothing else, so that a new machine shows what it is doing.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let tell = |text: &str| {
        // Nobody may be listening; the build goes on.
        let _ = writeln!(io::stderr(), "{text}");
    };
    match fairlead_e2e::tools::Tools::find(&tell) {
        Ok(tools) => {
            for path in [tools.etcd, tools.kube_apiserver, tools.registry, tools.helm] {
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
