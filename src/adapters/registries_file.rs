//! The registries configuration in its file, with the certificates that it names, and with those beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lower;
use crate::model::{Authority, Problem, Reason, RegistriesConfiguration};

/// Where the configuration is looked for when nobody says.
pub const DEFAULT_PATH: &str = "/app/config/registries.conf";
/// Where certificates of authorities are looked for: a file a host, named after it.
pub const CERTIFICATES: &str = "/app/config/tls";

/// What may lie beside the certificates of registries, and is none of them.
const OTHER_FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// The file of the registries configuration.
#[derive(Debug, Clone)]
pub struct RegistriesFile {
    path: PathBuf,
    certificates: PathBuf,
    /// Whether a person named it: then it must be there.
    named: bool,
}

impl RegistriesFile {
    /// The file at `path`, or the one at the usual place if there is one.
    pub fn new(path: Option<PathBuf>) -> Self {
        let named = path.is_some();
        let path = path.unwrap_or_else(|| PathBuf::from(DEFAULT_PATH));
        Self { path, certificates: PathBuf::from(CERTIFICATES), named }
    }

    /// The same file, with certificates in another folder.
    #[must_use]
    pub fn with_certificates(mut self, folder: impl Into<PathBuf>) -> Self {
        self.certificates = folder.into();
        self
    }

    /// What it says now, with every certificate in its place.
    ///
    /// # Errors
    /// Everything that is wrong with it, each at its place in the file.
    pub fn read(&self) -> Result<RegistriesConfiguration, Vec<Problem>> {
        let mut configuration = match fs::read_to_string(&self.path) {
            Ok(text) => lower::registries(&text).map_err(|problems| self.pointing(problems))?,
            Err(error) if !self.named && is_absent(&error) => RegistriesConfiguration::default(),
            Err(error) => return Err(vec![unreadable(&self.path, &error)]),
        };
        let mut problems = Vec::new();
        for (index, entry) in configuration.entries.iter_mut().enumerate() {
            let text = match &entry.authority {
                None => continue,
                Some(Authority::Text(text)) => checked(text.clone(), "`ca_data`"),
                Some(Authority::File(path)) => match fs::read_to_string(path) {
                    Ok(text) => checked(text, &format!("`{path}`")),
                    Err(error) => Err(unreadable(Path::new(path), &error)),
                },
            };
            let place = format!("registries[{index}]");
            match text {
                Ok(text) => entry.authority = Some(Authority::Text(text)),
                Err(problem) => problems.push(problem.at(place)),
            }
        }
        match self.authorities() {
            Ok(authorities) => configuration.authorities = authorities,
            Err(problem) => problems.push(problem),
        }
        if problems.is_empty() { Ok(configuration) } else { Err(self.pointing(problems)) }
    }

    /// Reads it again and again, and tells of every change: what it says now, or what is wrong with it. What is wrong is told
    /// once.
    pub async fn follow(
        self,
        mut known: RegistriesConfiguration,
        every: Duration,
        tell: impl Fn(Result<&RegistriesConfiguration, &[Problem]>),
    ) {
        let mut broken: Option<Vec<Problem>> = None;
        loop {
            tokio::time::sleep(every).await;
            match self.read() {
                Ok(configuration) if configuration == known && broken.is_none() => {}
                Ok(configuration) => {
                    tell(Ok(&configuration));
                    (known, broken) = (configuration, None);
                }
                Err(problems) if broken.as_ref() == Some(&problems) => {}
                Err(problems) => {
                    tell(Err(&problems));
                    broken = Some(problems);
                }
            }
        }
    }

    fn authorities(&self) -> Result<BTreeMap<String, String>, Problem> {
        let folder = match fs::read_dir(&self.certificates) {
            Err(error) if is_absent(&error) => return Ok(BTreeMap::new()),
            folder => folder.map_err(|error| unreadable(&self.certificates, &error))?,
        };
        let mut authorities = BTreeMap::new();
        for file in folder {
            let path = file.map_err(|error| unreadable(&self.certificates, &error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.is_empty() || name.starts_with('.') || OTHER_FILES.contains(&name) || !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
            authorities.insert(name.to_ascii_lowercase(), checked(text, &format!("`{}`", path.display()))?);
        }
        Ok(authorities)
    }

    /// The same problems, each with the file in front of its place.
    fn pointing(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let file = self.path.display();
        let pointing = |problem: Problem| {
            let place = problem.place.as_ref().map_or_else(|| file.to_string(), |place| format!("{file}: {place}"));
            problem.at(place)
        };
        problems.into_iter().map(pointing).collect()
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory)
}

fn checked(text: String, what: &str) -> Result<String, Problem> {
    let certificates = reqwest::Certificate::from_pem_bundle(text.as_bytes());
    if certificates.is_ok_and(|certificates| !certificates.is_empty()) {
        return Ok(text);
    }
    let problem = Problem::new(Reason::InvalidConfiguration, format!("{what} holds no certificate"));
    Err(problem.hint("write certificates in PEM, `-----BEGIN CERTIFICATE-----` in front"))
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(Reason::InvalidConfiguration, format!("cannot read `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    const GOOD: &str = "registries: [{name: Own, api_url: 'https://own.example', prefix: own.example}]";

    fn file(folder: &tempfile::TempDir, text: &str) -> RegistriesFile {
        let path = folder.path().join("registries.conf");
        fs::write(&path, text).expect("it can be written");
        RegistriesFile::new(Some(path)).with_certificates(folder.path().join("tls"))
    }

    fn said(folder: &tempfile::TempDir, problems: &[Problem]) -> String {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(folder.path().to_str().expect("a readable path"), "")
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let wrong = |text: &str| said(&folder, &file(&folder, text).read().err().unwrap_or_default());
        let line = |line: &str| GOOD.replace("prefix", &format!("{line}, prefix"));
        insta::assert_snapshot!(wrong("registries: [{}]"), @"
        /registries.conf: registries[0]: a registry needs `name`
        /registries.conf: registries[0]: a registry needs `api_url`
        ");
        insta::assert_snapshot!(wrong(&line("ca_data: x")), @"/registries.conf: registries[0]: `ca_data` holds no certificate; write certificates in PEM, `-----BEGIN CERTIFICATE-----` in front");
        insta::assert_snapshot!(wrong(&line("ca_file: /none.pem")), @"/registries.conf: registries[0]: cannot read `/none.pem`: No such file or directory (os error 2)");
        fs::create_dir(folder.path().join("tls")).expect("it can be made");
        fs::write(folder.path().join("tls/own.example"), "x").expect("it can be written");
        insta::assert_snapshot!(wrong(GOOD), @"/registries.conf: `/tls/own.example` holds no certificate; write certificates in PEM, `-----BEGIN CERTIFICATE-----` in front");
        let missing = RegistriesFile::new(Some(folder.path().join("none"))).read().err().unwrap_or_default();
        insta::assert_snapshot!(said(&folder, &missing), @"cannot read `/none`: No such file or directory (os error 2)");
        assert!(
            RegistriesFile { named: false, ..RegistriesFile::new(Some(folder.path().join("none"))) }.read().is_ok()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_and_a_broken_version_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = file(&folder, GOOD);
        let (path, known) = (file.path.clone(), file.read().expect("it is good"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        let tell = move |news: Result<&RegistriesConfiguration, &[Problem]>| {
            let news = news.map(|configuration| configuration.entries[0].name.clone()).map_err(<[Problem]>::len);
            listener.lock().unwrap_or_else(PoisonError::into_inner).push(news);
        };
        let following = tokio::spawn(file.follow(known, Duration::from_secs(10), tell));
        for text in [GOOD, "broken: [", "broken: [", &GOOD.replace("Own", "Other"), &GOOD.replace("Own", "Other")] {
            fs::write(&path, text).expect("it can be written");
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
        following.abort();
        assert_eq!(*told.lock().unwrap_or_else(PoisonError::into_inner), [Err(1), Ok("Other".to_owned())]);
    }
}
