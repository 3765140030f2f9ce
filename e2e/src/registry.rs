//! A real registry, and pushing to it.

use reqwest::{Method, RequestBuilder, StatusCode};

use crate::images::{Document, Documents, Image};
use crate::servers::http_client;

/// A name and a password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// A running registry, spoken to over plain HTTP.
#[derive(Debug, Clone)]
pub struct Registry {
    /// `127.0.0.1:…`
    pub address: String,
    /// What it asks for.
    pub login: Option<Login>,
}

impl Registry {
    /// Pushes `image` as `repository:tag` and returns its digest.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        self.push_documents(repository, tag, &image.documents()).await
    }

    /// Pushes all that an image is made of, and returns its digest.
    pub async fn push_documents(&self, repository: &str, tag: &str, documents: &Documents) -> String {
        let client = http_client(None);
        for blob in &documents.blobs {
            self.push_blob(&client, repository, blob).await;
        }
        for manifest in &documents.manifests {
            self.push_manifest(&client, repository, &manifest.digest(), manifest).await;
        }
        self.push_manifest(&client, repository, tag, &documents.top).await;
        documents.top.digest()
    }

    /// Pushes one image for each of `tags`, all different, built in this order, a day apart.
    pub async fn push_all(&self, repository: &str, tags: &[&str]) {
        for (day, tag) in (1..).zip(tags) {
            let built = format!("2026-01-{day:02}T00:00:00Z");
            self.push(repository, tag, &Image::new(tag).built(&built)).await;
        }
    }

    /// A manifest or a blob, by `manifests/<tag or digest>` or `blobs/<digest>`.
    pub async fn read(&self, repository: &str, what: &str) -> Vec<u8> {
        let request = self.login(http_client(None).get(self.url(&format!("/v2/{repository}/{what}"))));
        let request = request.header("accept", "application/vnd.oci.image.manifest.v1+json, application/octet-stream");
        sent(request, StatusCode::OK).await.bytes().await.expect("the registry sends all of it").to_vec()
    }

    /// The tags that the registry lists.
    pub async fn tags(&self, repository: &str) -> Vec<String> {
        let url = self.url(&format!("/v2/{repository}/tags/list"));
        let request = self.login(http_client(None).get(url));
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("tags are listed");
        let body: serde_json::Value = answer.json().await.expect("a list of tags");
        serde_json::from_value(body["tags"].clone()).expect("tags are texts")
    }

    /// The content of a `kubernetes.io/dockerconfigjson` Secret for this registry.
    pub fn docker_config(&self) -> String {
        let login = self.login.as_ref().expect("this registry asks for no login");
        self.docker_config_of(&login.name, &login.password)
    }

    /// The same, for another login.
    pub fn docker_config_of(&self, name: &str, password: &str) -> String {
        use base64::Engine;

        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        serde_json::json!({"auths": {&self.address: {"auth": pair}}}).to_string()
    }

    async fn push_blob(&self, client: &reqwest::Client, repository: &str, blob: &Document) {
        let digest = blob.digest();
        let known = self.login(client.head(self.url(&format!("/v2/{repository}/blobs/{digest}")))).send().await;
        if known.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            return;
        }
        let start = self.login(client.post(self.url(&format!("/v2/{repository}/blobs/uploads/"))));
        let answer = sent(start, StatusCode::ACCEPTED).await;
        let place = answer.headers()["location"].to_str().expect("a place is text");
        // Some state it without their own address.
        let place = answer.url().join(place).expect("a place is an address").to_string();
        let join = if place.contains('?') { '&' } else { '?' };
        let finish = client.put(format!("{place}{join}digest={digest}")).body(blob.bytes.clone());
        sent(self.login(finish.header("content-type", "application/octet-stream")), StatusCode::CREATED).await;
    }

    async fn push_manifest(&self, client: &reqwest::Client, repository: &str, name: &str, manifest: &Document) {
        let url = self.url(&format!("/v2/{repository}/manifests/{name}"));
        let request = client.request(Method::PUT, url).header("content-type", manifest.media_type);
        sent(self.login(request.body(manifest.bytes.clone())), StatusCode::CREATED).await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn login(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.login {
            Some(login) => request.basic_auth(&login.name, Some(&login.password)),
            None => request,
        }
    }
}

async fn sent(request: RequestBuilder, expected: StatusCode) -> reqwest::Response {
    let answer = request.send().await.expect("the registry answers");
    let status = answer.status();
    if status == expected {
        return answer;
    }
    let url = answer.url().clone();
    panic!("the registry answered {status} to `{url}`: {}", answer.text().await.unwrap_or_default());
}
