//! The examples are what people copy: each loads, and the reference of defaults tells the truth.

use std::{fs, io, path::Path};

use policies::{
    decide::Lane,
    load::{Loaded, Source, glob_matches, load},
    policy::{Policy, Priority},
};

/// The examples' folder, without the environment: examples work on any machine.
struct Examples;

impl Source for Examples {
    fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(folder().join(name))
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let parent = pattern.rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut names: Vec<String> = files(&folder().join(parent))
            .map(|name| format!("{parent}/{name}"))
            .filter(|name| glob_matches(pattern, name))
            .collect();
        names.sort();
        names
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn files(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).expect("the folder is in the repository");
    entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn example(name: &str) -> Loaded {
    load(name, &Examples).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_example_loads_without_a_warning() {
    let mut names: Vec<String> =
        files(&folder()).filter(|name| glob_matches("*.yaml", name)).collect();
    names.push("teams/policy.yaml".to_owned());
    assert!(5 <= names.len(), "{names:?}");
    for name in names {
        let loaded = example(&name);
        assert_eq!(loaded.warnings, [], "{name}");
        for file in &loaded.files {
            check_against_schema(file);
        }
        assert!(!loaded.policy.routes.is_empty(), "{name}");
    }
}

/// Holds a file to the schema, read as an editor would: no reference to the environment stands for anything else.
fn check_against_schema(file: &str) {
    let text = Examples.read(file).expect("it was read before");
    let mut json: serde_json::Value = serde_saphyr::from_str(&text).expect("it is YAML");
    // An included file may leave out its version.
    json.as_object_mut().expect("fields").entry("version").or_insert_with(|| 1.into());
    let schema = jsonschema::validator_for(&policies::schema::schema()).expect("a schema");
    let errors: Vec<String> = schema
        .iter_errors(&json)
        .map(|error| format!("{file}{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn the_hybrid_example_means_what_it_says() {
    let policy = example("hybrid.yaml").policy;
    let service = &policy.services[0];
    assert!(service.lambda.is_some() && service.container.is_some());
    let names: Vec<&str> = policy.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["POST api.example.com/v1/recognise", "/v1/reports/*"]);
    assert_eq!(policy.routes[0].priority, Priority::High);
    assert!(!policy.routes[1].lanes.has(Lane::Lambda));
}

#[test]
fn teams_share_one_policy() {
    let loaded = example("teams/policy.yaml");
    assert_eq!(
        loaded.files,
        ["teams/policy.yaml", "teams/services/reports.yaml", "teams/services/search.yaml"]
    );
    assert!(loaded.policy.routes.iter().all(|route| route.decision_header));
}

#[test]
fn the_reference_of_defaults_is_true() {
    struct Bare;
    impl Source for Bare {
        fn read(&self, _: &str) -> io::Result<String> {
            let text = "
version: 1
services:
  example:
    lambda: { function: example }
    container: { ecs: { cluster: default, service: example, port: 8080 }, requests_per_task: 1 }
routes:
  - { match: {}, service: example }
";
            Ok(text.to_owned())
        }

        fn glob(&self, _: &str) -> Vec<String> {
            vec![]
        }

        fn env(&self, _: &str) -> Option<String> {
            None
        }
    }

    // Only the place of the route differs.
    let whole = |policy: &Policy| {
        let text = format!("{policy:#?}");
        text.lines()
            .filter(|line| !line.trim_start().starts_with("place:"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let bare = load("bare.yaml", &Bare).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(whole(&example("defaults.yaml").policy), whole(&bare.policy));
}
