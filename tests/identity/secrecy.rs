//! A canary: no key, token or body is in any error, log or `Debug`.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use fairlead::adapters::identity::IdentityEndpoints;
use fairlead::model::Cloud;
use fairlead::ports::CloudLogins as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::stand_in::World;
use crate::support::faults::{Reply, Server, answer, json};
use crate::{aws, azure, google, jwt};

const BODY: &str = "canary-body";
const KEY: &str = "canary-key";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Answers that fail in each their way, with a canary in them.
fn failures() -> Vec<Reply> {
    let codes = format!(r#"{{"error":"{BODY}","__type":"{BODY}","error_description":"{BODY}"}}"#);
    let odd = format!(
        r#"{{"access_token":["{BODY}"],"refresh_token":7,"authorizationData":"{BODY}","AccessKeyId":{{"{BODY}":1}}}}"#
    );
    vec![
        Reply::Send(answer(400, &[("content-type", "application/json")], &codes)),
        Reply::Send(answer(403, &[], &format!("<Code>{BODY}</Code>"))),
        Reply::Send(answer(302, &[("location", &format!("http://127.0.0.1:1/{BODY}"))], BODY)),
        Reply::Send(answer(200, &[("metadata-flavor", "Google")], BODY)),
        Reply::SendAndClose(format!("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{BODY}").into_bytes()),
        Reply::SendAndClose(Vec::new()),
        json(&odd),
    ]
}

/// All ways to log in, each with everything at one server.
async fn ways(server: &Server) -> Vec<(World, Cloud, &'static str)> {
    let (ecr, acr) = ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "acme.azurecr.io");
    let mut keys = World::new().await;
    keys.set("AWS_ACCESS_KEY_ID", "AKIASTATIC");
    keys.set("AWS_SECRET_ACCESS_KEY", KEY);
    let mut agent = World::new().await;
    agent.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/agent");
    agent.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", KEY);
    let (instance, metadata, managed) = (World::new().await, World::new().await, World::new().await);
    let mut key = World::new().await;
    let at = |path: &str| format!("http://{}{path}", server.host()).parse::<url::Url>().expect("it is an address");
    key.file("GOOGLE_APPLICATION_CREDENTIALS", &google::key_file(at("/token").as_str(), &jwt::pem()));
    let mut all = vec![
        (keys, Cloud::Aws, ecr),
        (aws::irsa().await, Cloud::Aws, ecr),
        (agent, Cloud::Aws, ecr),
        (instance, Cloud::Aws, ecr),
        (metadata, Cloud::Gcp, "gcr.io"),
        (key, Cloud::Gcp, "gcr.io"),
        (google::federated_at(at("/token").as_str(), KEY).await, Cloud::Gcp, "gcr.io"),
        (azure::federated().await, Cloud::Azure, acr),
        (managed, Cloud::Azure, acr),
    ];
    for (world, _, _) in &mut all {
        world.settings.endpoints = IdentityEndpoints {
            aws_sts: Some(at("/")),
            aws_ecr: Some(at("/")),
            aws_ecr_public: Some(at("/")),
            aws_container: at("/"),
            aws_instance: at("/"),
            google_token: Some(at("/token")),
            google_metadata: at("/"),
            azure_authority: Some(at("/")),
            azure_instance: at("/"),
            azure_registry: Some(at("/")),
        };
    }
    all
}

#[tokio::test]
async fn no_key_token_or_body_is_ever_shown() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("the log is on");
    let mut shown = String::new();
    for reply in failures() {
        let server = Server::start(move |_, _| reply.clone()).await;
        for (world, cloud, host) in ways(&server).await {
            let error = world.logins().login(cloud, host).await.expect_err("it fails");
            let _ = writeln!(shown, "{error} {error:?} {:?}", world.settings);
        }
        assert!(server.seen().len() >= 8, "each way was gone");
    }
    let world = google::with_key().await;
    let logins = world.logins();
    let login = logins.login(Cloud::Gcp, "gcr.io").await.expect("it is given");
    let _ = writeln!(shown, "{login:?}");
    world.fail(true);
    world.site.clock.advance(50 * 60);
    logins.login(Cloud::Gcp, "gcr.io").await.expect("it is kept");
    shown.push_str(&String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)));
    for proof in ["the log is on", "TRACE hyper", "the login at hand holds until", "AWS_SECRET_ACCESS_KEY"] {
        assert!(shown.contains(proof), "{proof} is missing");
    }
    // Tokens of Kubernetes and assertions begin as JSON does in base64.
    for secret in [BODY, KEY, "eyJ", "AWS4-HMAC", "ya29", "refresh_token=", &jwt::KEY[..40]] {
        let line = shown.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is shown");
    }
}
