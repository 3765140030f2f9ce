//! Many Applications and policies through the whole pipeline, against registries on a socket: what a cycle costs, and what
//! becomes of it where a registry fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairlead::adapters::embedded::{Counts, Image, Registry};
use fairlead::adapters::memory::{MemoryApplications, MemoryPolicies};
use fairlead::adapters::oci::{Limits, RequestKind, Timeouts};
use fairlead::api::ImageUpdatePolicy;
use fairlead::lower::{self, Lowered};
use fairlead::model::{Memory, Reason, Report, Severity, State};
use fairlead::pipeline;
use fairlead::ports::{Clock as _, Ports};
use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::support::faults::{Reply, Server, answer, json as answered, status};
use crate::support::ports::{World, limits, timeouts};

/// Applications and their policies: one image each, so many Applications to a policy.
struct Fleet {
    applications: MemoryApplications,
    policies: Vec<Lowered>,
    memories: Vec<Memory>,
}

impl Fleet {
    /// So many Applications, each with an image of this name at version `now`, kept by `rule`.
    fn new(count: usize, a_policy: usize, image: impl Fn(usize) -> String, now: &str, rule: &str) -> Self {
        let applications = MemoryApplications::default();
        let mut policies = Vec::new();
        for first in (0..count).step_by(a_policy) {
            let group: Vec<usize> = (first..(first + a_policy).min(count)).collect();
            let mut images: Vec<String> = group.iter().map(|number| image(*number)).collect();
            for (number, image) in group.iter().zip(&images) {
                applications.put(json!({
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Application",
                    "metadata": { "name": format!("app-{number}"), "namespace": "argocd" },
                    "spec": { "source": {
                        "repoURL": "https://git.example/web", "path": "base",
                        "kustomize": { "images": [format!("{image}:{now}")] },
                    } },
                    "status": { "sourceType": "Kustomize", "summary": { "images": [format!("{image}:{now}")] } },
                }));
            }
            images.sort();
            images.dedup();
            let names = group.iter().map(|number| format!("  - name: app-{number}\n")).collect::<Vec<_>>().concat();
            let images = images.iter().map(|image| format!("  - image: {image}\n{rule}")).collect::<Vec<_>>().concat();
            let text = format!(
                "apiVersion: fairlead.dev/v1alpha1\nkind: ImageUpdatePolicy\nmetadata: {{ name: policy-{first}, namespace: argocd, generation: 1 }}\nspec:\n  applications:\n{names}  images:\n{images}"
            );
            let policy: ImageUpdatePolicy = serde_saphyr::from_str(&text).expect("a test's policies are policies");
            let lowered = lower::policy(&policy);
            assert_eq!(lowered.problems, [], "{text}");
            policies.push(lowered);
        }
        let memories = vec![Memory::default(); policies.len()];
        Self { applications, policies, memories }
    }

    /// All policies at once, with lists as new as now.
    async fn cycle(&mut self, world: &World) -> Vec<Report> {
        let all =
            MemoryPolicies(self.policies.iter().filter_map(|lowered| lowered.policy.clone()).map(Arc::new).collect());
        let ports = Ports {
            applications: &self.applications,
            policies: &all,
            registry: &world.client,
            git: None,
            forge: None,
            clock: &*world.clock,
        };
        let looks = self.policies.iter().zip(&self.memories);
        let now = world.clock.now();
        let reports = join_all(looks.map(|(lowered, memory)| pipeline::reconcile(ports, lowered, memory, now))).await;
        self.memories = reports.iter().map(|report| report.memory.clone()).collect();
        reports
    }
}

/// How many images fare so.
fn count(reports: &[Report], state: State) -> usize {
    reports.iter().flat_map(|report| &report.images).filter(|image| image.state() == state).count()
}

fn reasons(reports: &[Report]) -> Vec<Reason> {
    reports.iter().flat_map(|report| &report.images).map(|image| image.reason).collect()
}

/// What was asked since then.
fn since(before: Counts, now: Counts) -> [u64; 5] {
    [
        now.pings - before.pings,
        now.tags - before.tags,
        now.heads - before.heads,
        now.manifests - before.manifests,
        now.blobs - before.blobs,
    ]
}

fn image(day: usize) -> Image {
    Image {
        created: format!("2025-{:02}-{:02}T00:00:00Z", 1 + day / 28, 1 + day % 28).parse().ok(),
        ..Image::default()
    }
}

/// A registry whose repositories each have 2,000 tags on two pages. With `names` it tells when a page is still so.
async fn long_lists(names: bool) -> Server {
    let page = |from: usize| {
        let tags: Vec<String> = (from..from + 1_000).map(|number| format!("1.{number}.0")).collect();
        json!({ "tags": tags }).to_string()
    };
    let (first, second) = (page(0), page(1_000));
    Server::start(move |_, seen| {
        let (body, etag, link) = if seen.target.contains("last=") {
            (&second, "\"second\"", None)
        } else {
            (&first, "\"first\"", Some(("link", "<?last=1.999.0&n=1000>; rel=\"next\"")))
        };
        if names && seen.headers.get("if-none-match").is_some_and(|known| known == etag) {
            return Reply::Send(answer(304, &[], ""));
        }
        let headers = [("content-type", "application/json")].into_iter().chain(link);
        let headers: Vec<_> = headers.chain(names.then_some(("etag", etag))).collect();
        Reply::Send(answer(200, &headers, body))
    })
    .await
}

#[tokio::test]
async fn five_hundred_applications_cost_ten_lists_a_cycle_and_no_manifest() {
    for (strategy, a_policy, names, quiet) in [
        ("SemVer", 10, true, "tags answered 20, tags not_modified 20"),
        ("Alphabetical", 50, false, "tags answered 40"),
    ] {
        let server = long_lists(names).await;
        let world = World::with(&[server.host()], Limits::default(), timeouts());
        let name = |number: usize| format!("{}/demo/{}", server.host(), number % 10);
        let mut fleet = Fleet::new(500, a_policy, name, "1.0.0", &format!("    strategy: {strategy}\n"));
        assert_eq!(count(&fleet.cycle(&world).await, State::Updated), 500, "{strategy}");
        // Two pages a list of 2,000.
        assert_eq!(world.counter.all(), "tags answered 20");
        world.clock.advance(120);
        assert_eq!(count(&fleet.cycle(&world).await, State::UpToDate), 500, "{strategy}");
        assert_eq!(world.counter.all(), quiet);
        assert_eq!(fleet.applications.writes(), 500);
    }
}

#[tokio::test]
async fn a_followed_tag_costs_one_head_a_cycle_however_many_follow_it() {
    let registry = Registry::start().await.expect("the registry starts");
    for repository in 0..10 {
        registry.push(&format!("demo/{repository}"), "latest", &Image::default());
    }
    let name = |number: usize| format!("{}/demo/{}", registry.host(), number % 10);
    let world = World::new(&[registry.host()]);
    let mut fleet = Fleet::new(200, 5, name, "latest", "    strategy: Digest\n    constraint: latest\n");
    for expected in [State::Updated, State::UpToDate, State::UpToDate] {
        let before = registry.counts();
        assert_eq!(count(&fleet.cycle(&world).await, expected), 200);
        assert_eq!(since(before, registry.counts()), [0, 10, 10, 0, 0]);
        world.clock.advance(120);
    }
}

#[tokio::test]
async fn newest_build_reads_each_digest_once_and_rechecks_within_its_budget() {
    let registry = Registry::start().await.expect("the registry starts");
    for repository in 0..2 {
        for day in 0..60 {
            registry.push(&format!("demo/{repository}"), &format!("b{day}"), &image(day));
        }
    }
    let name = |number: usize| format!("{}/demo/{}", registry.host(), number % 2);
    let world = World::new(&[registry.host()]);
    let mut fleet = Fleet::new(100, 10, name, "b0", "    strategy: NewestBuild\n");
    let mut costs = Vec::new();
    for day in [None, None, Some(60), None] {
        if let Some(day) = day {
            registry.push("demo/0", &format!("b{day}"), &image(day));
        }
        let before = registry.counts();
        let reports = fleet.cycle(&world).await;
        assert_eq!(count(&reports, State::Failed), 0, "{:?}", reasons(&reports));
        costs.push(since(before, registry.counts()));
        world.clock.advance(120);
    }
    // One manifest and one configuration a new digest; else twenty tags a repository are resolved again.
    assert_eq!(costs, [[0, 2, 0, 120, 120], [0, 2, 40, 0, 0], [0, 2, 40, 1, 1], [0, 2, 40, 0, 0]]);
    assert_eq!(fleet.applications.writes(), 150);
}

#[tokio::test]
async fn where_the_order_of_the_list_is_trusted_newest_build_asks_for_no_manifest() {
    let server = Server::start(|_, seen| {
        if seen.target.contains("/manifests/") { status(500) } else { answered(r#"{"tags":["zeta","beta","alpha"]}"#) }
    });
    let server = server.await;
    for (mode, newest) in [("latest-first", "zeta"), ("latest-last", "alpha")] {
        let world = World::new(&[]);
        let text = format!(
            "registries: [{{name: Own, api_url: 'http://{0}', prefix: '{0}', tagsortmode: {mode}}}]",
            server.host()
        );
        world.client.configure(lower::registries(&text).expect("a configuration"));
        let name = |_| format!("{}/a/b", server.host());
        let mut fleet = Fleet::new(3, 1, name, "beta", "    strategy: NewestBuild\n");
        let reports = fleet.cycle(&world).await;
        let chosen: Vec<_> =
            reports.iter().flat_map(|report| &report.images).map(|image| image.chosen.clone()).collect();
        assert_eq!(chosen, vec![Some(newest.to_owned()); 3], "{mode}");
        assert_eq!(count(&fleet.cycle(&world).await, State::UpToDate), 3);
        assert_eq!(world.counter.of(RequestKind::Manifest) + world.counter.of(RequestKind::Head), 0);
    }
}

/// A list of these versions, and for `NewestBuild` a manifest that is refused.
const LIST: &str = r#"{"tags":["1.0.0","1.1.0"]}"#;

#[tokio::test]
async fn a_manifest_that_is_refused_with_429_after_a_restart_sets_nothing_back() {
    let registry = Registry::start().await.expect("the registry starts");
    registry.push("demo/app", "b1", &image(1));
    let behind = registry.host().to_owned();
    let server = Server::start(move |_, seen| {
        if seen.target.contains("/manifests/b2") {
            return Reply::Send(answer(429, &[("retry-after", "60")], ""));
        }
        if seen.target.contains("/tags/") {
            return answered(r#"{"tags":["b1","b2"]}"#);
        }
        let location = format!("http://{behind}{}", seen.target);
        Reply::Send(answer(307, &[("location", &location)], ""))
    });
    let server = server.await;
    let world = World::new(&[server.host()]);
    let name = |_| format!("{}/demo/app", server.host());
    let mut fleet = Fleet::new(10, 1, name, "b2", "    strategy: NewestBuild\n");
    for _ in 0..3 {
        assert_eq!(reasons(&fleet.cycle(&world).await), vec![Reason::RateLimited; 10]);
        world.clock.advance(120);
    }
    assert_eq!(fleet.applications.writes(), 0, "nothing is set back to b1");
}

#[tokio::test]
async fn half_a_body_and_then_nothing_stops_nobody_else() {
    let server = Server::start(|_, seen| {
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"tags\":[".to_vec();
        if seen.target.contains("/bad/") { Reply::SendAndFallSilent(half) } else { answered(LIST) }
    });
    let server = server.await;
    let world = World::with(&[server.host()], limits(), Timeouts { piece: Duration::from_millis(200), ..timeouts() });
    let name = |number: usize| format!("{}/{}/app", server.host(), if number == 0 { "bad" } else { "good" });
    let mut fleet = Fleet::new(20, 1, name, "1.0.0", "    strategy: SemVer\n");
    let reports = fleet.cycle(&world).await;
    assert_eq!((count(&reports, State::Updated), reports[0].images[0].reason), (19, Reason::RegistryTimeout));
    assert!(pipeline::ready(&reports[0]).severity >= Severity::Failing);
}

#[tokio::test]
async fn a_repository_that_never_answers_delays_nobody() {
    let server = Server::start(|_, seen| {
        if seen.target.contains("/bad/") { Reply::SendAndFallSilent(Vec::new()) } else { answered(LIST) }
    });
    let server = server.await;
    let hour = Duration::from_secs(3600);
    let world = World::with(&[server.host()], limits(), Timeouts { head: hour, whole: hour, ..timeouts() });
    let mut bad = Fleet::new(20, 1, |_| format!("{}/bad/app", server.host()), "1.0.0", "    strategy: SemVer\n");
    let mut good =
        Fleet::new(20, 1, |number| format!("{}/good/{number}", server.host()), "1.0.0", "    strategy: SemVer\n");
    tokio::select! {
        biased;
        _ = bad.cycle(&world) => unreachable!("it never answers"),
        reports = good.cycle(&world) => assert_eq!(count(&reports, State::Updated), 20),
    }
}

#[tokio::test]
async fn a_single_429_or_500_is_healed_within_the_cycle() {
    let waiting = Reply::Send(answer(429, &[("retry-after", "1")], ""));
    for first in [waiting, status(429), status(500), status(502), status(503), status(504)] {
        let server = Server::start(move |before, _| if before == 0 { first.clone() } else { answered(LIST) }).await;
        let world = World::new(&[server.host()]);
        let mut fleet = Fleet::new(10, 1, |_| format!("{}/a/b", server.host()), "1.0.0", "    strategy: SemVer\n");
        assert_eq!(count(&fleet.cycle(&world).await, State::Updated), 10);
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_quota_for_all_serves_all_hundred_applications() {
    // Sixty requests in a second, and then none until the second is over.
    let window = Mutex::new((Instant::now(), 0));
    let server = Server::start(move |_, _| {
        let mut window = window.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if window.0.elapsed() >= Duration::from_secs(1) {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        if window.1 > 60 { Reply::Send(answer(429, &[("retry-after", "1")], "")) } else { answered(LIST) }
    });
    let server = server.await;
    let world = World::new(&[server.host()]);
    let name = |number: usize| format!("{}/demo/{number}", server.host());
    let mut fleet = Fleet::new(100, 1, name, "1.0.0", "    strategy: SemVer\n");
    let reports = fleet.cycle(&world).await;
    assert_eq!(count(&reports, State::Updated), 100, "{:?}", reasons(&reports));
    assert!(server.seen().len() <= 125, "{} requests for 100 lists", server.seen().len());
}

#[tokio::test]
async fn a_wrong_password_is_said_and_costs_no_more_than_one_question_a_repository() {
    let server = Server::start(|_, _| Reply::Send(answer(401, &[("www-authenticate", "Basic realm=\"x\"")], ""))).await;
    let world = World::new(&[server.host()]);
    world.vault.login("pull", server.host(), "team", "wrong");
    let name = |number: usize| format!("{}/demo/{}", server.host(), number % 5);
    let mut fleet = Fleet::new(50, 1, name, "1.0.0", "    pullSecret: { name: pull }\n");
    let reports = fleet.cycle(&world).await;
    assert_eq!(reasons(&reports), vec![Reason::RegistryDenied; 50]);
    assert!(reports.iter().all(|report| pipeline::ready(report).severity >= Severity::Failing));
    assert_eq!(world.counter.of(RequestKind::Tags), 5);
    world.clock.advance(120);
    fleet.cycle(&world).await;
    assert_eq!((world.counter.of(RequestKind::Ping), world.counter.of(RequestKind::Tags)), (1, 10));
}

#[tokio::test]
async fn a_rule_that_nothing_passes_is_not_ready_and_says_why() {
    let server = Server::start(|_, _| answered(LIST)).await;
    let world = World::new(&[server.host()]);
    for rule in ["    constraint: '>=9'\n", "    allowTags: { regex: '^never$' }\n"] {
        let mut fleet = Fleet::new(1, 1, |_| format!("{}/a/b", server.host()), "1.0.0", rule);
        let ready = pipeline::ready(&fleet.cycle(&world).await[0]);
        assert_eq!((ready.reason, ready.severity >= Severity::Failing), (Reason::NoTagAllowed, true), "{rule}");
        assert!(ready.message.contains("none of 2 tags passes the rule"), "{}", ready.message);
    }
}
