//! Three days with a login asked for every ten minutes, on a clock that the test moves.

use std::sync::atomic::Ordering;

use fairlead::adapters::identity::CloudIdentities;
use fairlead::model::Cloud;
use fairlead::ports::CloudLogins as _;

use crate::stand_in::World;
use crate::{aws, azure, google};

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const ACR: &str = "acme.azurecr.io";
const STEP: i64 = 600;
const STEPS: i64 = 72 * 6;

/// Asks once, and checks that what comes holds.
async fn ask(world: &World, logins: &CloudIdentities, cloud: Cloud, host: &str) {
    let login = logins.login(cloud, host).await.expect("a login is given");
    assert!(login.expires.as_second() > world.site.now(), "it has ended");
    assert!(world.site.holds(&login.password), "it is not one that holds");
}

/// Three days, with the token file of Kubernetes written anew every half hour, and all services down from one step on for
/// an hour. Gives the number of exchanges.
async fn three_days(mut world: World, cloud: Cloud, host: &str, token: Option<(&str, &str)>, outage: i64) -> u64 {
    let logins = world.logins();
    for step in 0..STEPS {
        if let Some((variable, audience)) = token.filter(|_| step % 3 == 0) {
            world.file(variable, &world.projected(audience));
        }
        world.fail((outage..outage + 6).contains(&step));
        ask(&world, &logins, cloud, host).await;
        world.site.clock.advance(STEP);
    }
    assert_eq!(world.complaints(), Vec::<String>::new());
    world.site.logins.load(Ordering::Relaxed)
}

#[tokio::test]
async fn twelve_hours_of_ecr_are_renewed_in_time() {
    let token = Some(("AWS_WEB_IDENTITY_TOKEN_FILE", "sts.amazonaws.com"));
    // 80 % of twelve hours are 9 h 36 min, so it is renewed after 9 h 40 min: at the 58th step, within the outage.
    let exchanges = three_days(aws::irsa().await, Cloud::Aws, ECR, token, 57).await;
    assert_eq!(exchanges, 8);
}

#[tokio::test]
async fn three_hours_of_acr_are_renewed_in_time() {
    let token = Some(("AZURE_FEDERATED_TOKEN_FILE", "api://AzureADTokenExchange"));
    // The first login is due at 2 h 30 min, within the outage, which ends in the minute in which the login does.
    let exchanges = three_days(azure::federated().await, Cloud::Azure, ACR, token, 12).await;
    assert_eq!(exchanges, 29);
}

#[tokio::test]
async fn one_hour_of_google_is_renewed_in_time() {
    let exchanges = three_days(google::with_key().await, Cloud::Gcp, "gcr.io", None, STEPS).await;
    assert_eq!(exchanges, 87);
}

#[tokio::test]
async fn one_hour_of_a_federated_identity_is_renewed_in_time() {
    let token = Some(("PROJECTED", google::PROVIDER));
    let exchanges = three_days(google::federated().await, Cloud::Gcp, "gcr.io", token, STEPS).await;
    assert_eq!(exchanges, 87);
}

#[tokio::test]
async fn an_outage_longer_than_the_login_is_said_and_healed() {
    let world = google::with_key().await;
    let logins = world.logins();
    ask(&world, &logins, Cloud::Gcp, "gcr.io").await;
    world.fail(true);
    for _ in 0..5 {
        world.site.clock.advance(STEP);
        ask(&world, &logins, Cloud::Gcp, "gcr.io").await;
    }
    world.site.clock.advance(STEP);
    let error = logins.login(Cloud::Gcp, "gcr.io").await.expect_err("nothing holds");
    insta::assert_snapshot!(error, @"cannot log in to `gcr.io` with the gcp identity of this process: the token service of Google answers 503 Service Unavailable");
    world.fail(false);
    world.site.clock.advance(STEP);
    ask(&world, &logins, Cloud::Gcp, "gcr.io").await;
}

#[tokio::test]
async fn a_failing_service_is_asked_twice_a_minute_at_most() {
    let world = google::with_key().await;
    let logins = world.logins();
    ask(&world, &logins, Cloud::Gcp, "gcr.io").await;
    world.fail(true);
    world.site.clock.advance(50 * 60);
    let before = world.seen().len();
    for _ in 0..60 {
        ask(&world, &logins, Cloud::Gcp, "gcr.io").await;
        world.site.clock.advance(1);
    }
    assert_eq!(world.seen().len() - before, 2);
}

#[tokio::test]
async fn those_who_ask_together_share_one_exchange() {
    let world = google::with_key().await;
    let logins = world.logins();
    let all = (0..50).map(|_| ask(&world, &logins, Cloud::Gcp, "gcr.io"));
    futures::future::join_all(all).await;
    assert_eq!(world.seen().len(), 1);
    world.fail(true);
    let other = (0..50).map(|_| logins.login(Cloud::Gcp, "eu.gcr.io"));
    assert!(futures::future::join_all(other).await.iter().all(Result::is_err));
    assert_eq!(world.seen().len(), 3, "one attempt and its retry");
}
