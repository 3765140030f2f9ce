//! Makes the container image of a release, an OCI image layout, from a static binary: `fairlead-image BINARY FOLDER`.
//!
//! `SOURCE_DATE_EPOCH` is the time of everything in it, `FAIRLEAD_REVISION` the commit for its label.

#![allow(clippy::disallowed_methods, reason = "reads the binary and the certificates of this machine")]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use fairlead_e2e::Assembly;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [binary, folder] => make(Path::new(binary), Path::new(folder)),
        _ => Err("usage: fairlead-image BINARY FOLDER".to_owned()),
    };
    let (text, code) = match done {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{text}");
    code
}

fn make(binary: &Path, folder: &Path) -> Result<String, String> {
    let assembly = Assembly::of_release(binary)?;
    let size: usize = assembly.documents().blobs.iter().map(|blob| blob.bytes.len()).sum();
    let digest = assembly.write(folder)?;
    Ok(format!("{}: {digest}, {size} bytes", folder.display()))
}
