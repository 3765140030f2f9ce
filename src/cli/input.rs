//! What a person names on the command line to be read.

use std::io;
use std::path::Path;

/// The text of a file; `-` is standard input.
#[allow(clippy::disallowed_methods, reason = "the one place that reads files that a person names on the command line")]
pub(super) fn text(path: &Path) -> io::Result<String> {
    if path == Path::new("-") {
        return io::read_to_string(io::stdin());
    }
    std::fs::read_to_string(path)
}
