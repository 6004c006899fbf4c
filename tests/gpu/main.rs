//! Every result of the GPU against float64, headless, on whatever adapter there is.
//!
//! Tests share a device, since some drivers crash when devices are made concurrently.
//! Without an adapter each test prints a loud skip; with `WGNORM_REQUIRE_GPU=1` that is a failure.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(
    clippy::float_cmp,
    reason = "where bits have to be equal they are compared"
)]

mod accuracy;
mod bounds;
mod buffers;
mod case;
mod conditioning;
mod control;
mod costs;
mod devices;
mod embedding;
mod errors;
mod exact;
mod family;
mod family_case;
mod family_check;
mod family_layer;
mod family_oracle;
mod family_run;
mod folding;
mod ghost;
mod groups;
mod guarded;
mod half;
mod half_values;
mod huge;
mod integers;
mod layer;
mod layer_with;
mod masked;
mod modes;
mod moments;
mod moments_case;
mod moments_errors;
mod moments_merge;
mod others;
mod places;
mod plans;
mod processes;
mod ragged;
mod recalibration;
mod recording;
mod renewed;
mod resident;
mod spectral;
mod spectral_case;
mod spectral_errors;
mod spectral_layer;
mod spectral_speed;
mod spoilt;
#[cfg(feature = "safetensors")]
mod state;
mod stored;
mod structure;
mod tails;
mod turns;
mod twins;
mod windows;

use wgnorm::{Device, Error};

use renewed::Renewed;

/// The device of all tests; `None` after a loud skip.
fn device() -> Option<Device> {
    static DEVICE: Renewed = Renewed::new(|| match Device::new() {
        Ok(device) => {
            println!("testing on {:?}", device.wgpu_device().adapter_info());
            Some(device)
        }
        Err(error @ Error::NoAdapter { .. }) => {
            let required = std::env::var("WGNORM_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "WGNORM_REQUIRE_GPU=1, but {error}");
            eprintln!("\n*** SKIPPED: NO GPU TEST HAS RUN: {error} ***\n");
            None
        }
        Err(error) => panic!("{error}"),
    });
    DEVICE.get()
}
