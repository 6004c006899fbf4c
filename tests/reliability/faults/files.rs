//! State files that something has happened to, read into a layer that is in use.

use rand::SeedableRng;
use rand_pcg::Pcg64;

use wgnorm::state::{Convention, StateFile};
use wgnorm::{BatchNorm, BatchNormOptions, Device, Error, Norm};

use super::child::quickly;
use super::right::{RIGHT, either_again, expect_on_a_new_device};
use crate::mutants;

/// A way in which a file goes bad.
type Mutation = fn(&mut Vec<u8>, &mut Pcg64);

/// Files for each repetition of a kind.
const FILES: u64 = 50;

pub(super) fn truncated(repetition: u64) {
    // None of these is a file any more.
    spoilt(repetition, &[mutants::cut, mutants::lie], |_, bytes| {
        let found = StateFile::parse(bytes).map(|_| ());
        assert!(matches!(found, Err(Error::StateFile { .. })), "{found:?}");
    });
}

pub(super) fn mutated(repetition: u64) {
    spoilt(repetition, &[mutants::flip, mutants::misplace], read);
}

fn spoilt(repetition: u64, mutations: &[Mutation], check: fn(&Device, &[u8])) {
    let device = either_again(repetition);
    RIGHT.expect_on(device);
    let originals = mutants::originals();
    let mut random = Pcg64::seed_from_u64(repetition);
    for i in 0..FILES {
        let mut file = originals[i as usize % originals.len()].clone();
        mutations[i as usize % mutations.len()](&mut file, &mut random);
        quickly("reading a bad file", || check(device, &file));
    }
    RIGHT.expect_on(device);
    expect_on_a_new_device();
}

/// A refusal has one of the types of state files and leaves the layer as it was; what is read lands
/// in it whole.
fn read(device: &Device, bytes: &[u8]) {
    let found = mutants::read_all(bytes);
    mutants::assert_sound(found.as_deref().unwrap_or_default());
    let file = match StateFile::parse(bytes) {
        Ok(file) => file,
        Err(error) => return expect_typed(&error),
    };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let mut before = layer.state(device).unwrap();
    for prefix in file
        .names()
        .filter_map(|name| name.strip_suffix("running_mean"))
    {
        let section = file.at(prefix, Convention::PyTorch);
        let loaded = layer.load(device, &section);
        let now = layer.state(device).unwrap();
        match loaded {
            Ok(_) => {
                let mut read = section.read().unwrap();
                if let (Some(read), Some(now)) = (&mut read.running, &now.running) {
                    // A count that the file has not is the layer's own.
                    read.num_batches_tracked = now.num_batches_tracked;
                }
                assert!(bits(&read) == bits(&now), "{prefix}: a part was loaded");
                before = now;
            }
            Err(error) => {
                expect_typed(&error);
                assert!(
                    bits(&now) == bits(&before),
                    "{prefix}: {error}, half-loaded"
                );
            }
        }
        if let Ok(state) = section.read() {
            let made = Norm::from_state(device, &state, BatchNormOptions::default());
            if let Err(error) = made {
                expect_typed(&error);
            }
        }
    }
}

/// A state as bits, since a file may hold NaN.
fn bits(state: &wgnorm::state::NormState) -> String {
    let running = state.running.iter();
    let values = running.flat_map(|running| [&running.mean, &running.var]);
    let values = values.chain(state.gamma.iter()).chain(state.beta.iter());
    let bits: Vec<Vec<u32>> = values
        .map(|values| values.iter().map(|value| value.to_bits()).collect())
        .collect();
    let tracked = state.running.as_ref().map(|r| r.num_batches_tracked);
    format!("{:?} {bits:?} {tracked:?}", state.shape)
}

fn expect_typed(error: &Error) {
    let typed = matches!(
        error,
        Error::StateFile { .. }
            | Error::StateNames { .. }
            | Error::StateShape { .. }
            | Error::StateDType { .. }
            | Error::StateValue { .. }
            | Error::Shape { .. }
            | Error::Length { .. }
    );
    assert!(typed, "{error:?}");
}
