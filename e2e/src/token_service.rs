//! A token service as the distribution specification has it: a registry sends its clients here, and believes what is signed here.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

use crate::registry::Login;
use crate::servers::free_address;

/// Who issues tokens here.
pub const ISSUER: &str = "fairlead-e2e";
/// For whom.
pub const SERVICE: &str = "registry.e2e";

/// A running token service. It ends with the test process.
#[derive(Debug)]
pub struct TokenService {
    /// Where it is asked.
    pub realm: String,
    /// The certificate that registries check tokens by, in PEM.
    pub certificate: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Who may pull.
    login: Login,
    /// The certificate, as tokens carry it.
    certificate: String,
    key: Vec<u8>,
    issued: Mutex<Vec<Issued>>,
    number: AtomicU32,
}

/// A token that was given out.
#[derive(Debug, Clone)]
pub struct Issued {
    /// To whom; empty: to a stranger.
    pub user: String,
    /// For what it was asked for.
    pub scope: String,
    /// The token.
    pub token: String,
}

impl TokenService {
    /// A service that lets one user pull and gives everybody else tokens that allow nothing.
    pub fn start(login: Login) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut certificate = CertificateParams::new(Vec::new()).expect("no names are fine");
        certificate.distinguished_name.push(DnType::CommonName, ISSUER);
        let certificate = certificate.self_signed(&key).expect("a certificate can be made");
        let state = Arc::new(State {
            login,
            certificate: STANDARD.encode(certificate.der()),
            key: key.serialize_der(),
            issued: Mutex::default(),
            number: AtomicU32::new(0),
        });
        let address = free_address();
        let listener = TcpListener::bind(&address).expect("loopback has a free port");
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who breaks off gets nothing.
                let _ = serving.answer(&stream);
            }
        });
        Self { realm: format!("http://{address}/token"), certificate: certificate.pem(), state }
    }

    /// All that was given out.
    pub fn issued(&self) -> Vec<Issued> {
        self.state.issued.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl State {
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let mut user = String::new();
        let mut known = true;
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if let Some(given) = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
                (user, known) = self.judged(given.1);
            }
        }
        let answer =
            if known { ("200 OK", self.token(&user, &request)) } else { ("401 Unauthorized", "{}".to_owned()) };
        let (status, body) = answer;
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
        stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())
    }

    /// Who logs in so, and whether the password is right.
    fn judged(&self, authorization: &str) -> (String, bool) {
        let encoded = authorization.strip_prefix("Basic ").unwrap_or_default();
        let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let (user, password) = text.split_once(':').unwrap_or_default();
        (user.to_owned(), user != self.login.name || password == self.login.password)
    }

    fn token(&self, user: &str, request: &str) -> String {
        let target = request.split(' ').nth(1).unwrap_or_default();
        let url = reqwest::Url::parse(&format!("http://service{target}")).expect("what clients send is an address");
        let scope = url.query_pairs().find(|(key, _)| key == "scope").map(|(_, value)| value.into_owned());
        let scope = scope.unwrap_or_default();
        let parts: Vec<&str> = scope.split(':').collect();
        let access = match parts.as_slice() {
            ["repository", name, actions] if user == self.login.name && *actions == "pull" => {
                json!([{"type": "repository", "name": name, "actions": ["pull"]}])
            }
            _ => json!([]),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970").as_secs();
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let claims = json!({
            "iss": ISSUER, "sub": user, "aud": SERVICE, "iat": now - 10, "nbf": now - 10, "exp": now + 300,
            "jti": number.to_string(), "access": access,
        });
        let token = self.signed(&claims);
        let issued = Issued { user: user.to_owned(), scope, token: token.clone() };
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).push(issued);
        json!({"token": token, "expires_in": 300}).to_string()
    }

    fn signed(&self, claims: &serde_json::Value) -> String {
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&header), encode(claims));
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key, &random);
        let signature = pair.map(|pair| pair.sign(&random, text.as_bytes()));
        let signature = signature.expect("our own key is one").expect("our own key signs");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
