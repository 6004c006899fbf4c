//! Times Burn's `BatchNorm` on its wgpu backend at the shapes of wgnorm's benchmark and writes the
//! same JSON.

mod check;
mod measure;
mod options;
mod report;

use std::{env, process::ExitCode, time::Duration};

use burn::tensor::Device;
use measure::Case;
use options::Options;
use report::Report;

const IMAGES: [[usize; 4]; 6] = [
    [32, 64, 56, 56],
    [32, 256, 14, 14],
    [64, 512, 7, 7],
    [8, 3, 256, 256],
    [16, 1, 512, 512],
    [64, 50, 13, 13],
];
const FEATURES: [[usize; 2]; 3] = [[256, 1024], [65536, 32], [8192, 50]];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let options = Options::parse(env::args().skip(1))?;
    let (device, setup) = Device::wgpu_options()
        .init_with_setup()
        .map_err(|error| error.to_string())?;
    let mut report = Report::new(&setup.adapter.get_info());
    println!("{}", report.headline());
    for shape in IMAGES {
        measure(&device, shape, &options, &mut report);
    }
    for shape in FEATURES {
        measure(&device, shape, &options, &mut report);
    }
    let Some(path) = options.json else {
        return Ok(());
    };
    let failed = |error| format!("cannot write {}: {error}", path.display());
    report.write(&path).map_err(failed)
}

/// One operation: its name, how it is timed and how its result is checked.
type Operation<const D: usize> = (
    &'static str,
    fn(&Case<D>) -> Vec<Duration>,
    fn(&Case<D>) -> Result<(), String>,
);

/// Adds the rows of one shape that the filter lets through.
fn measure<const D: usize>(
    device: &Device,
    shape: [usize; D],
    options: &Options,
    report: &mut Report,
) {
    let operations: [Operation<D>; 3] = [
        ("forward", Case::forward, Case::check_forward),
        ("inference", Case::inference, Case::check_inference),
        ("backward", Case::backward, Case::check_backward),
    ];
    let dimensions = shape.map(|d| d.to_string()).join("x");
    let name = |op: &str| format!("{op} {dimensions}");
    let chosen = operations
        .iter()
        .filter(|(op, ..)| name(op).contains(&options.filter));
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        return;
    }
    let case = Case::new(device, shape, options.samples);
    for (op, time, check) in chosen {
        let samples = time(&case);
        let wrong = check(&case).err();
        let remark = wrong.as_ref().map(|wrong| format!("  WRONG: {wrong}"));
        let median = report.add(op, &shape, &samples, wrong);
        let (count, remark) = (samples.len(), remark.unwrap_or_default());
        println!("{:32} {median:>12.3?}  {count} samples{remark}", name(op));
    }
    // The next shape starts with the memory of this one returned.
    drop(case);
    device.memory_cleanup();
}
