//! Writes the WGSL of every kernel variant that the crate can dispatch, for another compiler to try:
//!
//! `cargo run --release --example shaders -- DIR [--portable] [--kernel NAME] [--cases]`
//!
//! DIR/manifest.json says of each file its entry point, bindings with their types, override constants
//! with the values that occur and what it needs of a device. `--portable` leaves out what only wgpu
//! knows: 64-bit integers and barriers of subgroups. `--cases` runs steps of all norms on the adapter,
//! as in a browser without any optional feature, and writes their dispatches to DIR/cases.json: the
//! buffers that they bind as they were before and after. `scripts/dawn` replays them.
//!
//! All variants together are close to a gigabyte of text.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use wgnorm::shaders::{self, Shader};

mod cases;
mod manifest;
mod replay;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Writes every kernel variant with a manifest.
#[derive(Parser)]
struct Options {
    /// The folder to write to, made where it is not there.
    dir: PathBuf,
    /// Only what a browser may compile.
    #[arg(long)]
    portable: bool,
    /// Only that kernel.
    #[arg(long)]
    kernel: Option<String>,
    /// Also cases to replay.
    #[arg(long)]
    cases: bool,
}

impl Options {
    fn wants(&self, shader: &Shader) -> bool {
        let native = shader.needs_int64 || shader.needs_subgroup_barrier;
        let named = |kernel: &String| kernel == shader.kernel;
        !(self.portable && native) && self.kernel.as_ref().is_none_or(named)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    fs::create_dir_all(&options.dir)?;
    let files = write_shaders(&options)?;
    println!("{} shaders in {}", files.len(), options.dir.display());
    if options.cases {
        let cases = replay::write(&options.dir, &files)?;
        println!("{cases} cases");
    }
    Ok(())
}

/// Writes sources and manifest; which file has which source.
fn write_shaders(options: &Options) -> Result<HashMap<String, String>> {
    let mut files = HashMap::new();
    let mut entries = Vec::new();
    for shader in shaders::all().filter(|shader| options.wants(shader)) {
        let folder = Path::new(shader.kernel);
        fs::create_dir_all(options.dir.join(folder))?;
        let file = format!("{}/{:05}.wgsl", shader.kernel, entries.len());
        fs::write(options.dir.join(&file), &shader.source)?;
        entries.push(manifest::Variant::new(&file, &shader)?);
        files.insert(shader.source, file);
    }
    let text = serde_json::to_string(&manifest::Manifest::of(entries))?;
    fs::write(options.dir.join("manifest.json"), text)?;
    Ok(files)
}
