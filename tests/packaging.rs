//! What is installed belongs together: the units, the package's list of files, and what they name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_timer_s_service_has_the_sandbox_of_the_daemon_s() {
    let sandbox = |name: &str| {
        let text = read(name);
        let (_, rest) = text.split_once("# A user that exists only while the service runs.").unwrap();
        rest.split("\n[Install]").next().unwrap().trim().to_string()
    };
    assert_eq!(sandbox("systemd/newswatch.service"), sandbox("systemd/newswatch-once.service"));
}

#[test]
fn the_package_holds_every_file_of_the_configuration() {
    let manifest: toml::Value = toml::from_str(&read("Cargo.toml")).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let sources: BTreeSet<&str> = assets.iter().map(|asset| asset[0].as_str().unwrap()).collect();
    let folders = ["config", "config/sources.d", "config/profiles.d", "config/aliases.d"];
    for folder in folders {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                assert!(folders.contains(&path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap()));
                continue;
            }
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            let pattern = format!("{folder}/*.{}", path.extension().unwrap().to_str().unwrap());
            assert!(sources.contains(name.as_str()) || sources.contains(pattern.as_str()), "{name} is not packaged");
        }
    }
    for unit in ["newswatch-once.service", "newswatch-once.timer"] {
        assert!(sources.contains(format!("systemd/{unit}").as_str()), "{unit} is not packaged");
    }
}
