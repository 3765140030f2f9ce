//! What an Argo CD project says of repositories: which of them its Applications may use, and whose commits they take.

use regex::Regex;

/// What an Argo CD project says of Git repositories, to one of its Applications.
#[derive(Debug, Clone)]
pub struct RepositoryRules {
    /// Whether the Application may belong to the project at all.
    pub admission: Admission,
    /// Which repositories it may use; with none, it may use none.
    pub sources: Vec<SourceRule>,
    /// From where it takes signed commits only.
    pub signed: Vec<SignedCommits>,
}

/// Whether an Application may belong to a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// There is no such project.
    NoProject,
    /// The project takes no Applications of its namespace.
    NotItsNamespace,
    /// It may.
    Admitted,
}

/// One entry of `spec.sourceRepos`.
#[derive(Debug, Clone)]
pub struct SourceRule {
    /// Whether it denies what it describes.
    pub denies: bool,
    /// What it describes, in the form that addresses are compared in; `None` where its text cannot be read.
    pub glob: Option<AddressGlob>,
}

/// Repositories of which signed commits alone are taken.
#[derive(Debug, Clone)]
pub struct SignedCommits {
    /// The field that says so.
    pub field: &'static str,
    /// Those that are meant.
    pub repositories: Vec<AddressGlob>,
    /// Those that are not meant all the same.
    pub except: Vec<AddressGlob>,
}

/// A glob over addresses of repositories, as Argo CD reads it: `*`, `**`, `?`, `[a-z]`, `[!a]`, `{a,b}`, and `\` in front of a character that stands
/// for itself.
#[derive(Debug, Clone)]
pub struct AddressGlob(Regex);

/// Why a repository may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such project.
    NoProject,
    /// The project takes no Applications of the Application's namespace.
    NotItsNamespace,
    /// The project does not permit the repository.
    NotPermitted,
}

impl RepositoryRules {
    /// All is allowed, and nothing demanded.
    pub fn unrestricted() -> Self {
        let all = SourceRule { denies: false, glob: AddressGlob::new("**", true) };
        Self { admission: Admission::Admitted, sources: vec![all], signed: Vec::new() }
    }

    /// Why the repository at `address`, in the form that addresses are compared in, may not be used; `None`: it may.
    ///
    /// An entry has to permit it, and none may deny it: so Argo CD documents it (user guide, "Projects"). With entries that deny alone, all else is permitted.
    pub fn refusal(&self, address: &str) -> Option<Refusal> {
        match self.admission {
            Admission::NoProject => return Some(Refusal::NoProject),
            Admission::NotItsNamespace => return Some(Refusal::NotItsNamespace),
            Admission::Admitted => {}
        }
        let (denying, permitting): (Vec<&SourceRule>, Vec<&SourceRule>) =
            self.sources.iter().partition(|rule| rule.denies);
        let plain = is_plain(address);
        let bare = address.trim_end_matches('/');
        let bare = bare.strip_suffix(".git").unwrap_or(bare);
        // What cannot be read denies everything.
        let fits = |glob: &AddressGlob| !plain || glob.matches(address) || glob.matches(bare);
        let denied = denying.iter().any(|rule| rule.glob.as_ref().is_none_or(fits));
        let permits = |glob: &AddressGlob| (plain || glob.is_all()) && glob.matches(address);
        let permitted = permitting.iter().any(|rule| rule.glob.as_ref().is_some_and(permits));
        let others = permitting.is_empty() && !denying.is_empty();
        (denied || !(permitted || others)).then_some(Refusal::NotPermitted)
    }

    /// The field by which the repository, which people write as one of `addresses`, takes signed commits only; `None`: it takes any.
    pub fn demands_signatures(&self, addresses: &[&str]) -> Option<&'static str> {
        let meant = |signed: &&SignedCommits, address: &&str| {
            let described = |globs: &[AddressGlob]| globs.iter().any(|glob| glob.matches(address));
            described(&signed.repositories) && !described(&signed.except)
        };
        let demanding = self.signed.iter().find(|signed| addresses.iter().any(|address| meant(signed, address)));
        demanding.map(|signed| signed.field)
    }
}

/// Whether a Git server can only understand `address` as it stands: some make `/a/../b`, `/a//b` and `/a%2fb` something that no glob was written for.
fn is_plain(address: &str) -> bool {
    let path = address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/').to_ascii_lowercase();
    let odd = |segment: &str| {
        let segment = segment.replace("%2e", ".");
        segment.is_empty() || segment == "." || segment == ".."
    };
    !path.contains('\\') && !path.contains("%2f") && !path.contains("%5c") && !path.split('/').any(odd)
}

impl AddressGlob {
    /// The glob `text`, of which `*` and `?` stand for no `/` where parts are `separated`. `None` where it cannot be read.
    pub fn new(text: &str, separated: bool) -> Option<Self> {
        let any = if separated { "[^/]" } else { "." };
        let mut pattern = String::from("(?s)^");
        let mut symbols = text.chars().peekable();
        let mut depth = 0_usize;
        while let Some(symbol) = symbols.next() {
            match symbol {
                '*' if symbols.next_if_eq(&'*').is_some() => pattern.push_str(".*"),
                '*' => pattern.extend([any, "*"]),
                '?' => pattern.push_str(any),
                '[' => pattern.push_str(&class(&mut symbols)?),
                '{' => {
                    depth += 1;
                    pattern.push_str("(?:");
                }
                ',' if depth > 0 => pattern.push('|'),
                '}' if depth > 0 => {
                    depth -= 1;
                    pattern.push(')');
                }
                '\\' => pattern.push_str(&regex::escape(&symbols.next()?.to_string())),
                other => pattern.push_str(&regex::escape(&other.to_string())),
            }
        }
        pattern.push('$');
        if depth > 0 {
            return None;
        }
        Regex::new(&pattern).ok().map(Self)
    }

    /// Whether the glob describes all of `address`.
    pub fn matches(&self, address: &str) -> bool {
        self.0.is_match(address)
    }

    /// Whether it describes every address.
    fn is_all(&self) -> bool {
        self.0.as_str() == "(?s)^.*$"
    }
}

/// What follows a `[`: one span `a-z`, or a list of characters, each after a `!` with the other meaning.
fn class(symbols: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let except = symbols.next_if_eq(&'!').is_some();
    let mut members = Vec::new();
    loop {
        match symbols.next()? {
            ']' => break,
            '\\' => members.push(symbols.next()?),
            other => members.push(other),
        }
    }
    let escaped = |symbol: &char| format!(r"\x{{{:x}}}", u32::from(*symbol));
    let inner = match members.as_slice() {
        [] => return None,
        [first, '-', last] => format!("{}-{}", escaped(first), escaped(last)),
        list => list.iter().map(escaped).collect(),
    };
    Some(format!("[{}{inner}]", if except { "^" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_read_as_argo_cd_reads_them() {
        for (glob, address, separated, together) in [
            ("https://h/*", "https://h/a", true, true),
            ("https://h/*", "https://h/a/b", false, true),
            ("https://h/**", "https://h/a/b", true, true),
            ("https://h/a?", "https://h/ab", true, true),
            ("https://h?a", "https://h/a", false, true),
            ("https://h/[a-c]x", "https://h/bx", true, true),
            ("https://h/[!a-c]x", "https://h/bx", false, false),
            ("https://h/[a^]x", "https://h/^x", true, true),
            ("https://h/[ab-]x", "https://h/-x", true, true),
            ("https://h/{a,b}/*", "https://h/b/x", true, true),
            ("https://h/{a,{b,c}}", "https://h/c", true, true),
            ("https://h/\\*", "https://h/*", true, true),
            ("https://h/\\*", "https://h/a", false, false),
            ("https://h.x/a", "https://hxx/a", false, false),
            ("https://h/a,b}", "https://h/a,b}", true, true),
            ("https://h/a", "https://h/ab", false, false),
            ("", "https://h/a", false, false),
        ] {
            let of = |separated| AddressGlob::new(glob, separated).expect("a glob").matches(address);
            assert_eq!((of(true), of(false)), (separated, together), "{glob} {address}");
        }
        for unreadable in ["https://h/[]", "https://h/[a", "https://h/[z-a]", "https://h/{a", "https://h/\\"] {
            assert!(AddressGlob::new(unreadable, true).is_none(), "{unreadable}");
        }
    }
}
