//! The administrator's `registries.conf`.
//!
//! It is understood whole or not at all: an entry that is left out would send questions, and logins, somewhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::credential_source::{Scope, credential_source};
use super::duration::{HINT as DURATION_HINT, duration};
use super::nearest::nearest;
use crate::model::{
    ApiAddress, Authority, CredentialSource, Problem, ProxyAddress, ProxyChoice, Reason, RegistriesConfiguration,
    RegistryEntry, RegistryPrefix, TagOrder,
};

const KEYS: [&str; 15] = [
    "name",
    "api_url",
    "prefix",
    "mirrorOf",
    "ping",
    "credentials",
    "credsexpire",
    "tagsortmode",
    "insecure",
    "ca_file",
    "ca_data",
    "defaultns",
    "limit",
    "default",
    "proxy",
];

/// What the text of a `registries.conf` says, or everything that is wrong with it.
pub fn registries(text: &str) -> Result<RegistriesConfiguration, Vec<Problem>> {
    let value: Option<Value> = serde_saphyr::from_str(text).map_err(|error| vec![unreadable(&error)])?;
    let mut problems = Vec::new();
    let entries = listed(value.unwrap_or_default(), &mut problems);
    let read = |(index, value): (usize, &Value)| entry(&format!("registries[{index}]"), value, &mut problems);
    let entries: Vec<Option<RegistryEntry>> = entries.iter().enumerate().map(read).collect();
    refuse_twins(&entries, &mut problems);
    if problems.is_empty() { Ok(with_docker_hub(entries.into_iter().flatten().collect())) } else { Err(problems) }
}

/// The values of the list `registries`.
fn listed(value: Value, problems: &mut Vec<Problem>) -> Vec<Value> {
    let mut object = match value {
        Value::Null => return Vec::new(),
        Value::Object(object) => object,
        _ => {
            problems.push(invalid("the text is no mapping").hint("write a list under `registries:`"));
            return Vec::new();
        }
    };
    let list = object.remove("registries");
    problems.extend(object.keys().map(|key| unknown(key, key, &["registries"])));
    match list {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => {
            problems.push(invalid("it is no list").at("registries"));
            Vec::new()
        }
    }
}

fn entry(place: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<RegistryEntry> {
    let Value::Object(fields) = value else {
        problems.push(invalid("a registry is a mapping").at(place));
        return None;
    };
    let strange = fields.keys().filter(|key| !KEYS.contains(&key.as_str()));
    problems.extend(strange.map(|key| unknown(key, &format!("{place}.{key}"), &KEYS)));
    let mut reader = Reader { place, fields, problems };
    let name = reader.needed("name");
    let address = reader.needed("api_url").and_then(|text| reader.understood("api_url", address(&text)));
    let own = reader.read("prefix", prefix);
    let mirror_of = reader.read("mirrorOf", prefix);
    let order = reader.read("tagsortmode", tag_order).unwrap_or_default();
    let credentials = reader.read("credentials", source);
    let life = reader.read("credsexpire", life);
    let _ = reader.switch("ping");
    let (insecure, default) = (reader.switch("insecure"), reader.switch("default"));
    let authority = reader.authority(insecure);
    let (default_namespace, limit) = (reader.text("defaultns"), reader.limit());
    let proxy = reader.read("proxy", proxy).unwrap_or_default();
    let default = default || (own.is_none() && mirror_of.is_none());
    Some(RegistryEntry {
        name: name?,
        address: address?,
        prefix: own,
        mirror_of,
        default,
        credentials,
        credentials_life: life.filter(|life| !life.is_zero()),
        tag_order: order,
        insecure,
        authority,
        default_namespace,
        limit,
        proxy,
    })
}

/// The fields of one entry, with the problems that reading them leaves.
struct Reader<'a> {
    place: &'a str,
    fields: &'a Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, key: &str, problem: Problem) {
        self.problems.push(problem.at(format!("{}.{key}", self.place)));
    }

    fn understood<T>(&mut self, key: &str, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.refuse(key, problem)).ok()
    }

    fn read<T>(&mut self, key: &str, read: fn(&str) -> Result<T, Problem>) -> Option<T> {
        let text = self.text(key)?;
        self.understood(key, read(&text))
    }

    /// The text of a field; nothing where it is missing or empty.
    fn text(&mut self, key: &str) -> Option<String> {
        let text = match self.fields.get(key)? {
            Value::Null => return None,
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                self.refuse(key, invalid("it is no text"));
                return None;
            }
        };
        Some(text).filter(|text| !text.is_empty())
    }

    fn needed(&mut self, key: &str) -> Option<String> {
        let text = self.text(key);
        if text.is_none() {
            let message = format!("a registry needs `{key}`");
            self.problems.push(invalid(message).at(self.place));
        }
        text
    }

    /// A boolean, in every spelling of YAML 1.1.
    fn switch(&mut self, key: &str) -> bool {
        let word = match self.fields.get(key) {
            None | Some(Value::Null) => return false,
            Some(Value::Bool(value)) => return *value,
            Some(Value::String(text)) => text.to_ascii_lowercase(),
            Some(_) => String::new(),
        };
        match word.as_str() {
            "yes" | "on" | "true" | "y" => true,
            "no" | "off" | "false" | "n" => false,
            _ => {
                self.refuse(key, invalid("it is neither true nor false").hint("write `true`, `false`, `yes` or `no`"));
                false
            }
        }
    }

    fn limit(&mut self) -> Option<u32> {
        match self.fields.get("limit") {
            None | Some(Value::Null) => None,
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                let limit = number.as_i64().map_or(u32::MAX, |limit| u32::try_from(limit.max(0)).unwrap_or(u32::MAX));
                Some(limit).filter(|limit| *limit > 0)
            }
            Some(_) => {
                self.refuse(
                    "limit",
                    invalid("it is no whole number").hint("write requests a second, for example `20`"),
                );
                None
            }
        }
    }

    fn authority(&mut self, insecure: bool) -> Option<Authority> {
        let (file, data) = (self.text("ca_file"), self.text("ca_data"));
        match (file, data) {
            (Some(_), Some(_)) => {
                self.refuse("ca_data", invalid("`ca_file` and `ca_data` are both given").hint("write one of them"));
                None
            }
            (Some(_), None) | (None, Some(_)) if insecure => None,
            (Some(file), None) => Some(Authority::File(file)),
            (None, data) => data.map(Authority::Text),
        }
    }
}

fn address(text: &str) -> Result<ApiAddress, Problem> {
    let wrong =
        || invalid(format!("`{text}` is no address of a registry")).hint("write `https://HOST` or `http://HOST`");
    let lower = text.to_ascii_lowercase();
    let tls = lower.starts_with("https://");
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).ok_or_else(wrong)?;
    if rest.contains('@') {
        return Err(invalid("the address holds a login").hint("write the login under `credentials`"));
    }
    let start = text.len() - rest.len();
    let host = rest.split('/').next().unwrap_or_default();
    // A path keeps its case.
    let path = text[start + host.len()..].trim_matches('/');
    let path = path.strip_suffix("/v2").unwrap_or(path);
    let path = if path == "v2" { "" } else { path };
    if !is_host(host) || path.contains(['?', '#', ' ']) {
        return Err(wrong());
    }
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    Ok(ApiAddress { tls, host: host.to_owned(), path })
}

/// A proxy. What is wrong with it is said without it: it may hold a password.
fn proxy(text: &str) -> Result<ProxyChoice, Problem> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(ProxyChoice::None);
    }
    let wrong =
        || invalid("it is no address of a proxy").hint("write `http://HOST:PORT`, `https://HOST:PORT` or `none`");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(wrong()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (login, host) = rest.rsplit_once('@').map_or((None, rest), |(login, host)| (Some(login.to_owned()), host));
    let plain = |login: &String| !login.contains(['/', '@', '?', '#', ' ']);
    if !is_host(host) || !login.as_ref().is_none_or(plain) {
        return Err(wrong());
    }
    Ok(ProxyChoice::Through(ProxyAddress::new(tls, login, host.to_ascii_lowercase())))
}

fn prefix(text: &str) -> Result<RegistryPrefix, Problem> {
    let (registry, path) = text.trim_end_matches('/').split_once('/').unwrap_or((text.trim_end_matches('/'), ""));
    let registry = registry.to_ascii_lowercase();
    if !is_host(&registry) || text.contains("://") {
        let hint = "write a host as images name it, and a path if need be, for example `ghcr.io/team`";
        return Err(invalid(format!("`{text}` is no beginning of an image's name")).hint(hint));
    }
    let registry = if registry == "index.docker.io" { "docker.io".to_owned() } else { registry };
    Ok(RegistryPrefix { registry, path: path.to_owned() })
}

fn tag_order(text: &str) -> Result<TagOrder, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "none" => Ok(TagOrder::None),
        "latest-first" => Ok(TagOrder::LatestFirst),
        "latest-last" => Ok(TagOrder::LatestLast),
        word => {
            let words = ["latest-first", "latest-last", "none"];
            let meant = nearest(word, words).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
            let hint = format!("write `latest-first`, `latest-last` or `none`{meant}");
            Err(invalid(format!("`{text}` is no order of tags")).hint(hint))
        }
    }
}

fn source(text: &str) -> Result<CredentialSource, Problem> {
    credential_source(text, Scope::Administrator).map_err(|error| invalid(error.to_string()))
}

fn life(text: &str) -> Result<Duration, Problem> {
    match text {
        "0" => Ok(Duration::ZERO),
        text => duration(text).map_err(|error| invalid(error.to_string()).hint(DURATION_HINT)),
    }
}

fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    !text.is_empty() && text.bytes().all(fits) && !text.starts_with(['.', '-', ':'])
}

/// Two entries that claim the same images.
fn refuse_twins(entries: &[Option<RegistryEntry>], problems: &mut Vec<Problem>) {
    type Claim = fn(&RegistryEntry) -> Option<String>;
    let claims: [(&str, Claim); 3] = [
        ("prefix", |entry| entry.prefix.as_ref().filter(|_| entry.mirror_of.is_none()).map(ToString::to_string)),
        ("mirrorOf", |entry| entry.mirror_of.as_ref().map(ToString::to_string)),
        ("default", |entry| entry.default.then(|| "images without a registry".to_owned())),
    ];
    for (key, claim) in claims {
        let mut first = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some((entry, claimed)) = entry.as_ref().and_then(|entry| Some((entry, claim(entry)?))) else {
                continue;
            };
            let Some(earlier) = first.insert(claimed.clone(), &entry.name) else { continue };
            let message = match key {
                "default" => format!("`{}` and `{earlier}` are both for {claimed}", entry.name),
                _ => format!("`{}` and `{earlier}` are both for `{claimed}`", entry.name),
            };
            let hint = match key {
                "default" => "write `default: true` at one of them, and a `prefix` at every other",
                _ => "write one entry, or a longer path",
            };
            problems.push(invalid(message).at(format!("registries[{index}].{key}")).hint(hint));
        }
    }
    let foreign = entries.iter().flatten().find(|entry| entry.default && !entry.is_docker_hub());
    let hub = entries.iter().position(|entry| entry.as_ref().is_some_and(RegistryEntry::is_docker_hub));
    if let (Some(foreign), Some(index)) = (foreign, hub) {
        let message = format!(
            "images of Docker Hub and images without a registry, which are for `{}`, are the same",
            foreign.name
        );
        let hint = "leave `default: true` away there, or this entry";
        problems.push(invalid(message).at(format!("registries[{index}].prefix")).hint(hint));
    }
}

/// Adds what is known of Docker Hub: to its entry, or as one of its own. Where another registry is for images without one, it
/// is for those of Docker Hub.
fn with_docker_hub(mut entries: Vec<RegistryEntry>) -> RegistriesConfiguration {
    let known = RegistryEntry::docker_hub();
    let default = entries.iter().any(|entry| entry.default && !entry.is_docker_hub());
    match entries.iter_mut().find(|entry| entry.is_docker_hub() && entry.mirror_of.is_none()) {
        Some(entry) => {
            entry.default = true;
            entry.limit = entry.limit.or(known.limit);
            entry.default_namespace = entry.default_namespace.take().or(known.default_namespace);
        }
        None if default => {}
        None => entries.push(known),
    }
    RegistriesConfiguration { entries, authorities: BTreeMap::new() }
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(Reason::InvalidConfiguration, message)
}

fn unknown(key: &str, place: &str, keys: &[&str]) -> Problem {
    let problem = invalid(format!("there is no key `{key}`")).at(place);
    match nearest(key, keys.iter().copied()) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.hint(format!("known are {}", keys.join(", "))),
    }
}

/// What the parser says, with the line, without the text around it: that may hold a password.
fn unreadable(error: &serde_saphyr::Error) -> Problem {
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    let ends = [text.find(" at line "), text.find(", set DuplicateKeyPolicy")];
    let text = ends.into_iter().flatten().min().map_or(text, |end| &text[..end]);
    let problem = invalid(format!("it is no readable YAML: {text}"));
    match error.location() {
        Some(location) => problem.at(format!("line {}", location.line())),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RegistriesConfiguration {
        registries(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
    }

    /// What is wrong with one entry, given as lines below a name and an address.
    fn said(lines: &str) -> String {
        let entry =
            format!("registries:\n- name: Own\n  api_url: https://reg.example\n  prefix: reg.example\n  {lines}\n");
        said_of(&entry)
    }

    fn said_of(text: &str) -> String {
        let problems = registries(text).err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Where an image is looked up: the entry, the address, the path.
    fn route(configuration: &RegistriesConfiguration, image: &str) -> String {
        let repository = image.parse::<crate::model::ImageReference>().expect("a test's images are images").repository;
        let route = configuration.route(&repository);
        let place =
            route.entry.map_or_else(|| "itself".to_owned(), |entry| format!("{} {}", entry.name, entry.address));
        format!("{place} {}", route.repository.path)
    }

    #[test]
    fn every_key_is_read() {
        let text = "
registries:
- name: Own
  api_url: https://Reg.Example:5000/Base/v2/
  prefix: reg.example:5000/team/
  ping: yes
  credentials: pullsecret:argocd/pull
  credsexpire: 5h
  tagsortmode: Latest-First
  insecure: no
  ca_file: /app/ca.pem
  defaultns: team
  limit: 20
  proxy: none
  default: off
";
        let entry = read(text).entries.remove(0);
        insta::assert_debug_snapshot!(entry, @r#"
        RegistryEntry {
            name: "Own",
            address: ApiAddress {
                tls: true,
                host: "reg.example:5000",
                path: "/Base",
            },
            prefix: Some(
                RegistryPrefix {
                    registry: "reg.example:5000",
                    path: "team",
                },
            ),
            mirror_of: None,
            default: false,
            credentials: Some(
                PullSecret(
                    SecretRef {
                        namespace: "argocd",
                        name: "pull",
                    },
                ),
            ),
            credentials_life: Some(
                18000s,
            ),
            tag_order: LatestFirst,
            insecure: false,
            authority: Some(
                File(
                    "/app/ca.pem",
                ),
            ),
            default_namespace: Some(
                "team",
            ),
            limit: Some(
                20,
            ),
            proxy: None,
        }
        "#);
    }

    #[test]
    fn booleans_are_those_of_yaml_1_1() {
        for (word, expected) in [
            ("yes", true),
            ("Yes", true),
            ("on", true),
            ("ON", true),
            ("true", true),
            ("y", true),
            ("no", false),
            ("off", false),
            ("False", false),
            ("", false),
        ] {
            let text = format!("registries: [{{name: a, api_url: 'https://a.b', prefix: a.b, insecure: {word}}}]");
            assert_eq!(read(&text).entries[0].insecure, expected, "{word}");
        }
    }

    #[test]
    fn nothing_written_is_docker_hub_alone() {
        for text in ["", "# nothing", "registries:", "registries: []", "{}"] {
            assert_eq!(read(text), RegistriesConfiguration::default(), "{text}");
        }
    }

    #[test]
    fn an_entry_for_docker_hub_adds_to_what_is_known_whether_it_is_the_default_or_not() {
        for line in ["", "default: true", "default: false"] {
            let text = format!(
                "registries:\n- name: Hub\n  api_url: https://registry-1.docker.io\n  prefix: docker.io\n  credentials: env:HUB\n  {line}"
            );
            let configuration = read(&text);
            assert_eq!(route(&configuration, "nginx"), "Hub https://registry-1.docker.io library/nginx");
            assert_eq!(route(&configuration, "docker.io/team/app"), "Hub https://registry-1.docker.io team/app");
            assert_eq!((configuration.entries.len(), configuration.entries[0].limit), (1, Some(10)));
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_ends_where_a_part_of_the_path_ends() {
        let configuration = read(
            "
registries:
- {name: Host, api_url: 'https://ghcr.io', prefix: ghcr.io}
- {name: Team, api_url: 'https://ghcr.io', prefix: ghcr.io/team}
- {name: Deep, api_url: 'https://ghcr.io', prefix: ghcr.io/team/deep}
- {name: Namespaced, api_url: 'http://reg.example:5000', prefix: 'reg.example:5000', defaultns: base}
",
        );
        for (image, expected) in [
            ("ghcr.io/team/app", "Team https://ghcr.io team/app"),
            ("ghcr.io/team", "Team https://ghcr.io team"),
            ("ghcr.io/team/deep/app", "Deep https://ghcr.io team/deep/app"),
            ("ghcr.io/team/deeper/app", "Team https://ghcr.io team/deeper/app"),
            ("ghcr.io/team-b/app", "Host https://ghcr.io team-b/app"),
            ("ghcr.io.evil.example/team/app", "itself team/app"),
            ("quay.io/team/app", "itself team/app"),
            ("reg.example:5000/app", "Namespaced http://reg.example:5000 base/app"),
            ("reg.example:5000/a/app", "Namespaced http://reg.example:5000 a/app"),
            ("reg.example/app", "itself app"),
            ("nginx", "Docker Hub https://registry-1.docker.io library/nginx"),
        ] {
            assert_eq!(route(&configuration, image), expected, "{image}");
        }
    }

    #[test]
    fn a_mirror_is_asked_in_the_stead_of_what_it_mirrors() {
        let configuration = read(
            "
registries:
- {name: Cache, api_url: 'https://cache.example', prefix: cache.example/hub, mirrorOf: docker.io}
- {name: Quay, api_url: 'https://quay.io', prefix: quay.io, mirrorOf: cache.example/quay}
- {name: Part, api_url: 'https://part.example', mirrorOf: ghcr.io/team}
",
        );
        for (image, expected) in [
            ("nginx", "Cache https://cache.example hub/library/nginx"),
            ("docker.io/a/b", "Cache https://cache.example hub/a/b"),
            ("cache.example/quay/a/b", "Quay https://quay.io a/b"),
            ("cache.example/hub/a", "Cache https://cache.example hub/a"),
            ("ghcr.io/team/app", "Part https://part.example app"),
            ("ghcr.io/other/app", "itself other/app"),
        ] {
            assert_eq!(route(&configuration, image), expected, "{image}");
        }
    }

    #[test]
    fn another_default_takes_images_without_a_registry() {
        let text = "registries: [{name: Own, api_url: 'https://own.example', defaultns: base}]";
        assert_eq!(route(&read(text), "nginx"), "Own https://own.example base/nginx");
        assert_eq!(route(&read(text), "team/app"), "Own https://own.example team/app");
        assert_eq!(route(&read(text), "quay.io/team/app"), "itself team/app");
    }

    #[test]
    fn every_way_to_be_wrong_has_its_sentence() {
        insta::assert_snapshot!(said("credentails: env:A"), @"registries[0].credentails: there is no key `credentails`; did you mean `credentials`?");
        insta::assert_snapshot!(said("colour: red"), @"registries[0].colour: there is no key `colour`; known are name, api_url, prefix, mirrorOf, ping, credentials, credsexpire, tagsortmode, insecure, ca_file, ca_data, defaultns, limit, default, proxy");
        insta::assert_snapshot!(said("tagsortmode: unsorted"), @"registries[0].tagsortmode: `unsorted` is no order of tags; write `latest-first`, `latest-last` or `none`");
        insta::assert_snapshot!(said("tagsortmode: latest_last"), @"registries[0].tagsortmode: `latest_last` is no order of tags; write `latest-first`, `latest-last` or `none`; did you mean `latest-last`?");
        insta::assert_snapshot!(said("credsexpire: 5 hours"), @"registries[0].credsexpire: cannot read the duration `5 hours`: `5 hours` is not a number with a unit; write numbers with ms, s, m, h, d or w, for example `90s`, `1h30m` or `7d`");
        insta::assert_snapshot!(said("credentials: pull"), @"registries[0].credentials: `pull` names no namespace: write `pullsecret:NAMESPACE/pull`");
        insta::assert_snapshot!(said("insecure: maybe"), @"registries[0].insecure: it is neither true nor false; write `true`, `false`, `yes` or `no`");
        insta::assert_snapshot!(said("proxy: socks5://team:s3cret@a.b"), @"registries[0].proxy: it is no address of a proxy; write `http://HOST:PORT`, `https://HOST:PORT` or `none`");
        insta::assert_snapshot!(said("proxy: http://team:s3/cret@a.b"), @"registries[0].proxy: it is no address of a proxy; write `http://HOST:PORT`, `https://HOST:PORT` or `none`");
        insta::assert_snapshot!(said("proxy: direct"), @"registries[0].proxy: it is no address of a proxy; write `http://HOST:PORT`, `https://HOST:PORT` or `none`");
        insta::assert_snapshot!(said("limit: many"), @"registries[0].limit: it is no whole number; write requests a second, for example `20`");
        insta::assert_snapshot!(said("defaultns: [a]"), @"registries[0].defaultns: it is no text");
        insta::assert_snapshot!(said("mirrorOf: https://docker.io"), @"registries[0].mirrorOf: `https://docker.io` is no beginning of an image's name; write a host as images name it, and a path if need be, for example `ghcr.io/team`");
        insta::assert_snapshot!(said("ca_file: /a\n  ca_data: b"), @"registries[0].ca_data: `ca_file` and `ca_data` are both given; write one of them");
        insta::assert_snapshot!(said("name: Other"), @"line 5: it is no readable YAML: duplicate mapping key: name");
        insta::assert_snapshot!(said("limit: [s3cret"), @"line 5: it is no readable YAML: unclosed bracket '['");
    }

    #[test]
    fn a_proxy_may_be_any_or_none_and_its_login_is_not_shown() {
        let entry = |line: &str| {
            let text = format!("registries: [{{name: a, api_url: 'https://a.b', prefix: a.b, proxy: '{line}'}}]");
            read(&text).entries.remove(0).proxy
        };
        assert_eq!((entry(""), entry("None")), (ProxyChoice::Environment, ProxyChoice::None));
        let ProxyChoice::Through(proxy) = entry("https://team:s3cret@Proxy:3128/") else { unreachable!("it is one") };
        assert_eq!(proxy.with_login(), "https://team:s3cret@proxy:3128");
        assert_eq!(format!("{proxy} {proxy:?}"), "https://proxy:3128 ProxyAddress(https://proxy:3128)");
    }

    #[test]
    fn every_way_to_be_wrong_as_a_whole_has_its_sentence() {
        insta::assert_snapshot!(said_of("registries: [{}]"), @"
        registries[0]: a registry needs `name`
        registries[0]: a registry needs `api_url`
        ");
        insta::assert_snapshot!(said_of("registries: {}"), @"registries: it is no list");
        insta::assert_snapshot!(said_of("[]"), @"the text is no mapping; write a list under `registries:`");
        insta::assert_snapshot!(said_of("registry: []"), @"registry: there is no key `registry`; did you mean `registries`?");
        insta::assert_snapshot!(said_of("registries: [a]"), @"registries[0]: a registry is a mapping");
        insta::assert_snapshot!(said_of("registries: [{name: a, api_url: ghcr.io, prefix: ghcr.io}]"), @"registries[0].api_url: `ghcr.io` is no address of a registry; write `https://HOST` or `http://HOST`");
        insta::assert_snapshot!(said_of("registries: [{name: a, api_url: 'https://u:p@ghcr.io', prefix: ghcr.io}]"), @"registries[0].api_url: the address holds a login; write the login under `credentials`");
        let one = "{name: One, api_url: 'https://a.b', prefix: a.b";
        insta::assert_snapshot!(said_of(&format!("registries: [{one}}}, {one}}}]")), @"registries[1].prefix: `One` and `One` are both for `a.b`; write one entry, or a longer path");
        insta::assert_snapshot!(said_of(&format!("registries: [{one}, mirrorOf: c.d}}, {one}, mirrorOf: c.d}}]")), @"registries[1].mirrorOf: `One` and `One` are both for `c.d`; write one entry, or a longer path");
        insta::assert_snapshot!(said_of("registries: [{name: a, api_url: 'https://a.b'}, {name: c, api_url: 'https://c.d'}]"), @"registries[1].default: `c` and `a` are both for images without a registry; write `default: true` at one of them, and a `prefix` at every other");
        insta::assert_snapshot!(said_of("registries: [{name: a, api_url: 'https://a.b', prefix: a.b, default: yes}, {name: c, api_url: 'https://c.d', prefix: c.d, default: yes}]"), @"registries[1].default: `c` and `a` are both for images without a registry; write `default: true` at one of them, and a `prefix` at every other");
        insta::assert_snapshot!(said_of("registries: [{name: a, api_url: 'https://a.b', prefix: a.b, default: yes}, {name: hub, api_url: 'https://c.d', prefix: docker.io}]"), @"registries[1].prefix: images of Docker Hub and images without a registry, which are for `a`, are the same; leave `default: true` away there, or this entry");
    }
}
