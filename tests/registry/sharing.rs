//! One index for all: who asks the same shares the answer, and nothing else is shared.

use fairlead::adapters::embedded::{Image, Registry};
use futures::future::join_all;

use crate::support::faults::{Server, json, status};
use crate::support::ports::World;

#[tokio::test]
async fn fifty_who_ask_at_once_cost_one_request() {
    let registry = Registry::start().await.expect("the registry starts");
    registry.push("demo/app", "1.0", &Image::default());
    let world = World::new(&[registry.host()]);
    let name = format!("{}/demo/app", registry.host());
    let lists = join_all((0..50).map(|_| world.tags(&name))).await;
    assert!(lists.iter().all(|list| list == &lists[0] && list.is_ok()));
    let digests = join_all((0..50).map(|_| world.digests(&name, &["1.0"]))).await;
    assert!(digests.iter().all(|found| found == &digests[0] && found.is_ok()));
    let dates = join_all((0..50).map(|_| world.dates(&name, &["1.0"], &[]))).await;
    assert!(dates.iter().all(|found| found == &dates[0] && found.is_ok()));
    let counts = registry.counts();
    assert_eq!((counts.pings, counts.tags, counts.heads, counts.manifests, counts.blobs), (0, 1, 1, 1, 1));
}

#[tokio::test]
async fn a_quiet_cycle_of_500_questions_on_10_repositories_costs_10_requests() {
    let registry = Registry::start().await.expect("the registry starts");
    for repository in 0..10 {
        for number in 0..90 {
            registry.push(&format!("demo/{repository}"), &format!("1.{number}"), &Image::default());
        }
    }
    let world = World::new(&[registry.host()]);
    let names: Vec<_> = (0..500).map(|number| format!("{}/demo/{}", registry.host(), number % 10)).collect();
    for cycle in 1..=3 {
        let lists = join_all(names.iter().map(|name| world.tags(name))).await;
        assert!(lists.iter().all(Result::is_ok));
        assert_eq!(registry.counts().tags, 10 * cycle);
        world.clock.advance(120);
    }
    assert_eq!(world.counter.not_needed(), 3 * 490);
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_and_not_kept() {
    // Two tries each, and the third time it is well.
    let server = Server::start(|before, _| if before < 2 { status(500) } else { json(r#"{"tags":["1.0"]}"#) }).await;
    let world = World::new(&[server.host()]);
    let name = format!("{}/a/b", server.host());
    let lists = join_all((0..50).map(|_| world.tags(&name))).await;
    assert!(lists.iter().all(|list| list.is_err() && list == &lists[0]));
    assert_eq!(server.seen().len(), 2);
    assert_eq!(world.sentence(&name, None).await, "[1.0]");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn what_was_read_serves_as_long_as_it_is_fresh_enough() {
    let registry = Registry::start().await.expect("the registry starts");
    registry.push("demo/app", "1.0", &Image::default());
    let world = World::new(&[registry.host()]);
    let name = format!("{}/demo/app", registry.host());
    for (advance, expected) in [(0, 1), (0, 1), (1, 2)] {
        world.clock.advance(advance);
        assert!(world.tags(&name).await.is_ok());
        assert_eq!(registry.counts().tags, expected);
    }
}
