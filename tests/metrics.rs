//! What is counted of reports and requests, and that the page shows what the table promises.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use fairlead::model::{
    ApplicationId, Behind, Comparison, ImageReport, Memory, PolicyId, Reason, Report, Rollout, RolloutState,
};
use fairlead::telemetry::{FAMILIES, Family, Kind, Metrics, OLDER_V0_FAMILIES, OLDER_V1_FAMILIES, OlderNames};
use jiff::{SignedDuration, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

fn noon() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

fn image(application: &str, reason: Reason) -> ImageReport {
    ImageReport {
        current: Some("1.0.0".to_owned()),
        chosen: Some("1.0.0".to_owned()),
        reason,
        ..ImageReport::new(ApplicationId::new("argocd", application), "flask", "ghcr.io/org/flask")
    }
}

fn behind(application: &str, reason: Reason, versions: usize, pushed_at: Option<Timestamp>) -> ImageReport {
    ImageReport { behind: Some(Behind { versions, pushed_at }), ..image(application, reason) }
}

fn report(policy: &str, minutes: i64, images: Vec<ImageReport>) -> Report {
    let checked_at = noon() + SignedDuration::from_mins(minutes);
    Report {
        policy: PolicyId::new("argocd", policy),
        generation: 1,
        checked_at,
        next_check: checked_at + SignedDuration::from_mins(2),
        problems: vec![],
        applications: images.len(),
        images,
        memory: Memory::default(),
    }
}

/// The lines of a page whose names begin so, without comments.
fn lines(metrics: &Metrics, prefix: &str) -> Vec<String> {
    metrics.text().lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

/// Everything that can happen, once.
fn lived(metrics: &Metrics) {
    let rollout = Rollout {
        written_at: noon(),
        pushed_at: Some(noon()),
        state: RolloutState::Healthy,
        since: noon() + SignedDuration::from_secs(20),
    };
    let updated =
        ImageReport { rollout: Some(rollout), compared: Some(Comparison::Agrees), ..image("web", Reason::Updated) };
    let failed = image("api", Reason::RegistryUnreachable);
    metrics.look_given_up();
    metrics.observe(&report("web", 0, vec![updated, failed, behind("old", Reason::TooYoung, 2, None)]), SECOND);
    metrics.registry_request("ghcr.io", "tags", "answered", SECOND);
    metrics.registry_request("ghcr.io", "tags", "no_answer", SECOND);
    metrics.registry_request("ghcr.io", "ping", "denied", SECOND);
    metrics.registry_avoided("ghcr.io");
    metrics.registry_quota("ghcr.io", "manifest", 76);
    metrics.webhook_request("harbor", "accepted");
    metrics.unread_annotations("argocd", 2);
    metrics.git_operation("push", "succeeded", SECOND);
}

/// Type, help and labels of each family that a page shows.
fn shown(metrics: &Metrics) -> BTreeMap<String, (String, String, BTreeSet<String>)> {
    let text = metrics.text();
    let mut found: BTreeMap<String, (String, String, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            help.clone_into(&mut found.entry(name.to_owned()).or_default().1);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            kind.clone_into(&mut found.entry(name.to_owned()).or_default().0);
        } else {
            let (series, _) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let name =
                base.filter(|base| found.get(*base).is_some_and(|family| family.0 == "histogram")).unwrap_or(name);
            let labels =
                labels.split("\",").filter_map(|label| label.split_once('=')).map(|(label, _)| label.to_owned());
            found.get_mut(name).expect("a type stands before").2.extend(labels.filter(|label| label != "le"));
        }
    }
    found
}

fn promised<'a>(families: impl Iterator<Item = &'a Family>) -> BTreeMap<String, (String, String, BTreeSet<String>)> {
    let row = |family: &Family| {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        (family.name.to_owned(), (family.kind.as_str().to_owned(), family.help.to_owned(), labels))
    };
    families.map(row).collect()
}

#[test]
fn the_page_shows_the_families_of_the_table_and_no_others() {
    let metrics = Metrics::new().expect("families");
    lived(&metrics);
    assert_eq!(shown(&metrics), promised(FAMILIES.iter()));
    for (names, older) in [(OlderNames::V0, OLDER_V0_FAMILIES), (OlderNames::V1, OLDER_V1_FAMILIES)] {
        let metrics = Metrics::new().and_then(|metrics| metrics.with_older_names(names)).expect("families");
        lived(&metrics);
        assert_eq!(shown(&metrics), promised(FAMILIES.iter().chain(older)), "{names:?}");
    }
}

#[test]
fn names_keep_the_conventions_of_prometheus() {
    for Family { name, kind, labels, help } in FAMILIES {
        assert!(name.starts_with("fairlead_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(!matches!(kind, Kind::Histogram(_)) || name.ends_with("_seconds"), "{name}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
        for label in *labels {
            let open = ["tag", "image", "message", "version", "application"].contains(label);
            assert!(!open || *name == "fairlead_build_info", "{name}: the values of `{label}` have no bound");
        }
    }
}

#[test]
fn a_policy_shows_its_applications_images_and_condition() {
    let metrics = Metrics::new().expect("families");
    lived(&metrics);
    insta::assert_snapshot!(lines(&metrics, "fairlead_policy").join("\n"), @r#"
    fairlead_policy_applications{namespace="argocd",policy="web"} 3
    fairlead_policy_images{namespace="argocd",policy="web",state="failed"} 1
    fairlead_policy_images{namespace="argocd",policy="web",state="pending"} 1
    fairlead_policy_images{namespace="argocd",policy="web",state="up_to_date"} 0
    fairlead_policy_images{namespace="argocd",policy="web",state="updated"} 1
    fairlead_policy_last_look_timestamp_seconds{namespace="argocd",policy="web"} 1780315200
    fairlead_policy_next_look_timestamp_seconds{namespace="argocd",policy="web"} 1780315320
    fairlead_policy_ready{namespace="argocd",policy="web",reason="RegistryUnreachable"} 0
    fairlead_policy_seconds_behind{namespace="argocd",policy="web"} 0
    fairlead_policy_versions_behind{namespace="argocd",policy="web"} 2
    "#);
    insta::assert_snapshot!([lines(&metrics, "fairlead_updates"), lines(&metrics, "fairlead_failures")].concat().join("\n"), @r#"
    fairlead_updates_total{namespace="argocd",policy="web"} 1
    fairlead_failures_total{namespace="argocd",policy="web",reason="RegistryUnreachable"} 1
    "#);
}

#[test]
fn the_series_of_a_policy_end_with_it() {
    let metrics = Metrics::new().expect("families");
    lived(&metrics);
    metrics.observe(&report("api", 0, vec![image("web", Reason::UpToDate)]), SECOND);
    let api = PolicyId::new("argocd", "api");
    metrics.keep(&HashSet::from([&api]));
    let left: Vec<String> =
        metrics.text().lines().filter(|line| line.contains(r#"policy="web""#)).map(str::to_owned).collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(metrics.text().contains(r#"policy="api""#));
}

/// Versions and seconds behind after some looks, each at a minute.
fn lag(looks: Vec<(i64, ImageReport)>) -> String {
    let metrics = Metrics::new().expect("families");
    for (minute, image) in looks {
        metrics.observe(&report("web", minute, vec![image]), SECOND);
    }
    let value = |name: &str| {
        let line = lines(&metrics, name).pop().expect("it is shown");
        line.rsplit_once(' ').expect("a value").1.to_owned()
    };
    format!("{} versions, {} s", value("fairlead_policy_versions_behind{"), value("fairlead_policy_seconds_behind{"))
}

#[test]
fn an_image_lags_from_the_push_or_from_when_it_was_noticed_until_it_is_written() {
    let held = |versions, pushed_at| behind("web", Reason::TooYoung, versions, pushed_at);
    let pushed_at = Some(noon() - SignedDuration::from_mins(10));
    assert_eq!(lag(vec![(0, image("web", Reason::UpToDate))]), "0 versions, 0 s");
    assert_eq!(lag(vec![(0, held(1, pushed_at))]), "1 versions, 600 s");
    assert_eq!(lag(vec![(0, held(1, None)), (5, held(1, None))]), "1 versions, 300 s");
    // A newer version does not make the older wait look shorter.
    assert_eq!(lag(vec![(0, held(1, pushed_at)), (5, held(2, Some(noon())))]), "2 versions, 900 s");
    // A look that decided nothing says nothing of the lag.
    assert_eq!(lag(vec![(0, held(1, None)), (5, image("web", Reason::RegistryTimeout))]), "1 versions, 300 s");
    assert_eq!(lag(vec![(0, held(1, None)), (5, image("web", Reason::Updated))]), "0 versions, 0 s");
    // A build date of tomorrow is none.
    assert_eq!(lag(vec![(0, held(1, Some(noon() + SignedDuration::from_hours(1))))]), "1 versions, 0 s");
}

#[test]
fn a_replica_that_stands_by_tells_nothing_of_policies() {
    let metrics = Metrics::new().and_then(|metrics| metrics.with_older_names(OlderNames::V1)).expect("families");
    lived(&metrics);
    metrics.vitals(true, 3, Duration::from_millis(61_900));
    for line in ["fairlead_leader 1", "fairlead_looks_in_hand 3", "fairlead_oldest_look_seconds 61"] {
        assert_eq!(lines(&metrics, line), [line]);
    }
    assert!(metrics.text().contains(r#"policy="web""#));
    metrics.vitals(false, 0, Duration::ZERO);
    let text = metrics.text();
    assert!(text.contains("fairlead_leader 0") && !text.contains(r#""web""#), "{text}");
}

#[test]
fn the_names_of_argocd_image_updater_are_counted_where_they_are_wanted() {
    assert_eq!(lines(&Metrics::new().expect("families"), "argocd_"), Vec::<String>::new());
    let older = |names| {
        let metrics = Metrics::new().and_then(|metrics| metrics.with_older_names(names)).expect("families");
        lived(&metrics);
        lines(&metrics, "argocd_").join("\n")
    };
    insta::assert_snapshot!(older(OlderNames::V1), @r#"
    argocd_image_updater_applications_watched_total{image_updater_cr_name="web",image_updater_cr_namespace="argocd"} 3
    argocd_image_updater_images_errors_total{image_updater_cr_name="web",image_updater_cr_namespace="argocd"} 1
    argocd_image_updater_images_updated_total{image_updater_cr_name="web",image_updater_cr_namespace="argocd"} 1
    argocd_image_updater_images_watched_total{image_updater_cr_name="web",image_updater_cr_namespace="argocd"} 3
    argocd_image_updater_registry_requests_failed_total{registry="ghcr.io"} 1
    argocd_image_updater_registry_requests_total{registry="ghcr.io"} 3
    "#);
    insta::assert_snapshot!(older(OlderNames::V0), @r#"
    argocd_image_updater_applications_watched_total 3
    argocd_image_updater_images_errors_total{application="argocd/api"} 1
    argocd_image_updater_images_errors_total{application="argocd/old"} 0
    argocd_image_updater_images_errors_total{application="argocd/web"} 0
    argocd_image_updater_images_updated_total{application="argocd/api"} 0
    argocd_image_updater_images_updated_total{application="argocd/old"} 0
    argocd_image_updater_images_updated_total{application="argocd/web"} 1
    argocd_image_updater_images_watched_total{application="argocd/api"} 1
    argocd_image_updater_images_watched_total{application="argocd/old"} 1
    argocd_image_updater_images_watched_total{application="argocd/web"} 1
    argocd_image_updater_registry_requests_failed_total{registry="ghcr.io"} 1
    argocd_image_updater_registry_requests_total{registry="ghcr.io"} 3
    "#);
}

#[test]
fn policies_that_share_an_application_add_up_under_the_older_names() {
    let metrics = Metrics::new().and_then(|metrics| metrics.with_older_names(OlderNames::V0)).expect("families");
    for policy in ["one", "two"] {
        metrics.observe(&report(policy, 0, vec![image("web", Reason::UpToDate)]), SECOND);
    }
    let watched = |metrics: &Metrics| {
        [
            lines(metrics, "argocd_image_updater_applications_watched_total"),
            lines(metrics, "argocd_image_updater_images_watched_total"),
        ]
        .concat()
    };
    assert_eq!(
        watched(&metrics),
        [
            "argocd_image_updater_applications_watched_total 1",
            r#"argocd_image_updater_images_watched_total{application="argocd/web"} 2"#
        ]
    );
    let one = PolicyId::new("argocd", "one");
    metrics.keep(&HashSet::from([&one]));
    assert_eq!(
        watched(&metrics),
        [
            "argocd_image_updater_applications_watched_total 1",
            r#"argocd_image_updater_images_watched_total{application="argocd/web"} 1"#
        ]
    );
    metrics.keep(&HashSet::new());
    assert_eq!(watched(&metrics), ["argocd_image_updater_applications_watched_total 0"]);
}
