//! The command line.

use std::path::PathBuf;

const USAGE: &str = "\
Times Burn's BatchNorm on wgpu.

  --json FILE    write the results as JSON
  --filter TEXT  only rows whose name contains TEXT, as in `forward 32x64`
  --samples N    timed calls per row, 9 if not given; slow rows stop earlier, never below 3

CUBECL_WGPU_DEFAULT_DEVICE picks the adapter, for example `Cpu` or `DiscreteGpu(1)`.";

pub struct Options {
    pub json: Option<PathBuf>,
    pub filter: String,
    pub samples: usize,
}

impl Options {
    /// Reads the arguments, or says why it cannot; asking for help is no different.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            json: None,
            filter: String::new(),
            samples: 9,
        };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--json" => options.json = Some(value()?.into()),
                "--filter" => options.filter = value()?,
                "--samples" => {
                    options.samples = value()?
                        .parse()
                        .ok()
                        .filter(|&samples| samples > 0)
                        .ok_or("--samples needs a positive number")?;
                }
                // `cargo bench` passes it to every benchmark.
                "--bench" => {}
                "--help" | "-h" => return Err(USAGE.into()),
                _ => return Err(format!("unknown argument {name}\n\n{USAGE}")),
            }
        }
        Ok(options)
    }
}
