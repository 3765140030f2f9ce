//! A real Prometheus that reads Fairlead's metrics and knows its alerts; and promtool.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::eventually::{Deadline, eventually};
use crate::process::{Process, folder};
use crate::servers::{free_address, http_client, write};
use crate::tools::Tools;

/// A running Prometheus, killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    address: String,
    // Never read: killed with this.
    _process: Process,
}

impl Prometheus {
    /// Reads `target`, `host:port`, twice a second, as the chart's `ServiceMonitor` would, and judges the rules of a file. Waits until it
    /// has read it some times.
    pub async fn start(name: &str, target: &str, rules: &Path) -> Self {
        let tools = Tools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
        let configuration = json!({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "fairlead", "honor_labels": true,
                // The operator names the namespace of the Pod so.
                "static_configs": [{"targets": [target], "labels": {"namespace": "fairlead-pods"}}],
            }],
        });
        let address = free_address();
        let mut command = Command::new(&tools.prometheus);
        command
            .arg(format!("--config.file={}", write(&format!("{name}.json"), &configuration.to_string())))
            .arg(format!("--storage.tsdb.path={}", folder().join(name).display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--log.level=warn", "--storage.tsdb.no-lockfile"]);
        let prometheus = Self { _process: Process::start(name, command), address };
        eventually("Prometheus has read the metrics", Deadline::seconds(60), async || {
            let read = prometheus.ask("query", "sum(count_over_time(up[1m])) >= 10 and sum(up) == 1").await?;
            if read["result"].as_array().is_some_and(|result| !result.is_empty()) {
                Ok(())
            } else {
                Err(read.to_string())
            }
        })
        .await;
        prometheus
    }

    /// The series that a query gives now.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let answer = self.ask("query", query).await.unwrap_or_else(|words| panic!("`{query}`: {words}"));
        answer["result"].as_array().unwrap_or_else(|| panic!("`{query}` gives {answer}")).clone()
    }

    /// A query as Prometheus itself reads it, a tree of nodes.
    pub async fn parse(&self, query: &str) -> Value {
        self.ask("parse_query", query).await.unwrap_or_else(|words| panic!("`{query}`: {words}"))
    }

    /// The rules, with what became of each when it was last evaluated.
    pub async fn rules(&self) -> Vec<Value> {
        let answer = self.ask("rules", "").await.unwrap_or_else(|words| panic!("{words}"));
        let groups = answer["groups"].as_array().expect("groups");
        groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).cloned().collect()
    }

    async fn ask(&self, what: &str, query: &str) -> Result<Value, String> {
        let url = format!("http://{}/api/v1/{what}", self.address);
        let url = reqwest::Url::parse_with_params(&url, [("query", query)]).expect("an address");
        let answer = http_client(None).get(url).send().await.map_err(|cause| cause.to_string())?;
        let mut answer: Value = answer.json().await.map_err(|cause| cause.to_string())?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer.to_string()) }
    }
}

/// Runs promtool, and gives what it says.
///
/// # Errors
/// The same, where it complains.
pub fn promtool(arguments: &[&str]) -> Result<String, String> {
    let tools = Tools::find(&|_| {}).unwrap_or_else(|text| panic!("{text}"));
    let output = Command::new(&tools.promtool).args(arguments).output().expect("promtool starts");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(text) } else { Err(text) }
}
