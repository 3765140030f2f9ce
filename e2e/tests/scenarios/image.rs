//! The container image, from bytes that stand for the binary. The binary of a release is judged by `tests/image.rs`.

use std::fs;

use fairlead_e2e::assemble::{CERTIFICATES, USER};
use fairlead_e2e::helm::root;
use fairlead_e2e::{Assembly, Scene};
use serde_json::{Value, json};

fn assembly() -> Assembly {
    Assembly {
        binary: b"the binary".repeat(100),
        certificates: b"the certificates".to_vec(),
        version: "0.1.0".to_owned(),
        revision: "0123abc".to_owned(),
        epoch: 1_700_000_000,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_takes_the_image_and_tells_what_is_in_it() {
    let scene = Scene::new("image").await;
    let (registry, repository) = (scene.registry(), scene.repository("fairlead"));
    let digest = registry.push_documents(&repository, "0.1.0", &assembly().documents()).await;
    let manifest: Value =
        serde_json::from_slice(&registry.read(&repository, &format!("manifests/{digest}")).await).expect("JSON");
    let blob = |descriptor: &Value| format!("blobs/{}", descriptor["digest"].as_str().expect("a digest"));
    let config: Value =
        serde_json::from_slice(&registry.read(&repository, &blob(&manifest["config"])).await).expect("JSON");
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    assert_eq!(config["config"]["User"], USER);
    assert_eq!(config["config"]["Entrypoint"], json!(["/fairlead"]));
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "0.1.0");
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.revision"], "0123abc");

    let place = tempfile::tempdir().expect("a folder can be made");
    let tar = place.path().join("layer.tar");
    fs::write(&tar, registry.read(&repository, &blob(&manifest["layers"][0])).await).expect("a file can be written");
    let unpacked = std::process::Command::new("tar").arg("-xpf").arg(&tar).arg("-C").arg(place.path()).status();
    assert!(unpacked.is_ok_and(|status| status.success()));
    assert_eq!(fs::read(place.path().join("fairlead")).expect("it is there"), assembly().binary);
    assert_eq!(fs::read(place.path().join(CERTIFICATES)).expect("they are there"), assembly().certificates);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(place.path().join("fairlead")).expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn the_same_parts_give_the_same_bytes_and_another_time_gives_others() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let layout = |name: &str, assembly: &Assembly| {
        let place = folder.path().join(name);
        let digest = assembly.write(&place).expect("the layout can be written");
        (digest, fs::read(place.join("index.json")).expect("it is there"))
    };
    let first = layout("first", &assembly());
    assert_eq!(first, layout("second", &assembly()));
    assert_ne!(first, layout("later", &Assembly { epoch: 1_700_000_001, ..assembly() }));
}

/// Whoever builds with a daemon gets the same.
#[test]
fn the_dockerfile_says_the_same() {
    let text = fs::read_to_string(root().join("Dockerfile")).expect("it is there");
    let stages: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(" AS ").nth(1)).collect();
    assert_eq!(stages, ["build", "fairlead-full", "fairlead"]);
    let (_, stages) = text.split_once(" AS fairlead-full").expect("it is there");
    let labels = assembly().labels();
    for stage in stages.split("FROM scratch") {
        assert!(stage.lines().any(|line| line == format!("USER {USER}")), "{stage}");
        assert!(stage.contains(r#"ENTRYPOINT ["/fairlead"]"#) && stage.contains(r#"CMD ["run"]"#), "{stage}");
        for (name, value) in labels.as_object().expect("labels") {
            let value = match name.rsplit_once('.').map(|(_, word)| word) {
                Some("version") => "${VERSION}".to_owned(),
                Some("revision") => "${REVISION}".to_owned(),
                _ => value.as_str().expect("a label is text").to_owned(),
            };
            assert!(stage.contains(&format!("{name}=\"{value}\"")), "{name}: {stage}");
        }
    }
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).expect("it is there");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).expect("it names a channel");
    assert!(
        text.contains(&format!("FROM rust:{}-alpine", channel.trim_matches('"').trim_end_matches(".0"))),
        "{channel}"
    );
}
