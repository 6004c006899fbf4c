//! The file that a run leaves, and the failure that it ends with.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value, json};
use wgnorm::Device;

use crate::effort::Effort;

/// What has been counted so far.
pub(crate) struct Report {
    keys: Map<String, Value>,
    seconds: Map<String, Value>,
    seeds: Map<String, Value>,
    violations: Vec<String>,
}

impl Report {
    /// Begins with what was run on; keys of sections that do not run are absent.
    pub(crate) fn begin(device: &Device, effort: &Effort) -> Self {
        let info = device.wgpu_device().adapter_info();
        let mut report = Self {
            keys: Map::new(),
            seconds: Map::new(),
            seeds: Map::new(),
            violations: Vec::new(),
        };
        report.set("adapter", &info.name);
        report.set("backend", &info.backend.to_string());
        let driver = format!("{} {}", info.driver, info.driver_info);
        report.set("driver", &driver.trim());
        report.set("wgnorm", &env!("CARGO_PKG_VERSION"));
        for name in ["wgpu", "naga"] {
            report.set(name, &locked(name));
        }
        report.set("effort", effort);
        report
    }

    /// Sets one key of the file.
    pub(crate) fn set(&mut self, key: &str, value: &impl Serialize) {
        let value = serde_json::to_value(value).unwrap();
        self.keys.insert(key.to_owned(), value);
    }

    /// Notes what a section draws its cases from.
    pub(crate) fn seeds(&mut self, section: &str, seeds: &[u64]) {
        let value = json!({ "first": seeds.first(), "last": seeds.last() });
        self.seeds.insert(section.to_owned(), value);
    }

    /// Notes that a promise was broken; the run goes on and fails at its end.
    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("VIOLATION: {what}");
        self.violations.push(what);
    }

    /// Runs a section and keeps how long it took. One that panics does not take the others' figures along.
    pub(crate) fn time(&mut self, name: &str, section: impl FnOnce(&mut Self)) {
        let start = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| section(self))).is_err() {
            self.violation(format!("{name} panicked"));
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{name}: {seconds:.1} s");
        self.seconds.insert(name.to_owned(), json!(seconds));
    }

    /// Writes the file, then fails if anything went wrong.
    pub(crate) fn finish(mut self, file: &str) {
        let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
        let path = target.join(file);
        // `scripts/mutants` counts those, in a run of its own.
        let mutants = fs::read_to_string(target.join("reliability.json")).ok();
        let mutants = mutants.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        if let Some(counted) = mutants.as_ref().and_then(|report| report.get("mutants")) {
            self.set("mutants", counted);
        }
        let seconds = std::mem::take(&mut self.seconds);
        self.set("seconds", &seconds);
        let seeds = std::mem::take(&mut self.seeds);
        self.set("seeds", &seeds);
        let violations = std::mem::take(&mut self.violations);
        self.set("violations", &violations);
        let text = serde_json::to_string_pretty(&self.keys).unwrap() + "\n";
        fs::write(&path, text).unwrap();
        println!("wrote {}", path.display());
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }
}

/// The version of a crate that this was built with.
fn locked(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let entry = format!("name = \"{name}\"\nversion = \"");
    let (_, rest) = lock.split_once(&entry).expect("a crate of Cargo.lock");
    rest.split('"').next().unwrap_or(rest)
}
