//! Files that `PyTorch` wrote; `tests/golden/state/make_state.py` makes them.

use wgnorm::state::{self, Convention, NormState, StateFile};
use wgnorm::{Error, Shape};

const NORMS: [&str; 7] = [
    "bn1.",
    "layer1.0.bn1.",
    "layer1.0.gn.",
    "instance.",
    "bare.",
    "ln.",
    "rms.",
];

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state");
    std::fs::read(format!("{folder}/torch_{name}.safetensors")).unwrap()
}

fn read(bytes: &[u8], prefix: &str) -> NormState {
    let file = StateFile::parse(bytes).unwrap();
    file.at(prefix, Convention::PyTorch).read().unwrap()
}

#[test]
fn pytorch_s_numbers_are_read_to_the_bit() {
    let bn1 = read(&file("f32"), "bn1.");
    assert_eq!(bn1.shape, Shape::from([4]));
    let gamma = [0.978_926_5, 0.589_712_1, 1.156_649_7, 0.432_416_7];
    assert_eq!(bn1.gamma.unwrap(), gamma);
    let beta = [1.188_666_8, 0.858_790_2, -0.283_368_32, 0.284_836_3];
    assert_eq!(bn1.beta.unwrap(), beta);
    let running = bn1.running.unwrap();
    let mean = [0.077_901_96, 0.044_427_46, 0.281_281_8, -0.065_869_71];
    assert_eq!(running.mean, mean);
    let var = [1.211_879_3, 1.616_403_3, 1.531_861_4, 1.407_552_6];
    assert_eq!(running.var, var);
    assert_eq!(running.num_batches_tracked, Some(3));
}

#[test]
fn each_norm_has_what_pytorch_gave_it() {
    let bytes = file("f32");
    let has = NORMS.map(|prefix| {
        let state = read(&bytes, prefix);
        let NormState {
            shape,
            gamma,
            beta,
            running,
        } = state;
        (shape, gamma.is_some(), beta.is_some(), running.is_some())
    });
    let channels = Shape::from([4]);
    let expected = [
        (channels.clone(), true, true, true),
        (channels.clone(), true, true, true),
        (channels.clone(), true, true, false),
        (channels.clone(), true, true, true),
        (channels, false, false, true),
        (Shape::from([4, 5]), true, true, false),
        (Shape::from([5]), true, false, false),
    ];
    assert_eq!(has, expected);
}

#[test]
fn half_checkpoints_keep_what_half_types_can_hold() {
    let [f32, f16, bf16, f64] = ["f32", "f16", "bf16", "f64"].map(file);
    let mut compared = 0;
    for prefix in NORMS {
        let exact = read(&f32, prefix);
        assert_eq!(read(&f64, prefix), exact, "{prefix} in f64");
        let round = |to: fn(f32) -> f32| {
            let all = |values: &Vec<f32>| values.iter().copied().map(to).collect();
            let mut state = exact.clone();
            state.gamma = exact.gamma.as_ref().map(all);
            state.beta = exact.beta.as_ref().map(all);
            if let Some(running) = &mut state.running {
                (running.mean, running.var) = (all(&running.mean), all(&running.var));
            }
            state
        };
        let [as_f16, as_bf16] = [
            round(|v| half::f16::from_f32(v).to_f32()),
            round(|v| half::bf16::from_f32(v).to_f32()),
        ];
        assert_eq!(read(&f16, prefix), as_f16, "{prefix} in f16");
        assert_eq!(read(&bf16, prefix), as_bf16, "{prefix} in bf16");
        assert!(as_f16 != exact && as_bf16 != as_f16, "{prefix}");
        compared += 1;
    }
    assert_eq!(compared, NORMS.len());
}

#[test]
fn a_network_goes_out_as_it_came_in() {
    let bytes = file("f32");
    let states = NORMS.map(|prefix| (prefix, read(&bytes, prefix)));
    let written = state::write(Convention::PyTorch, states.clone()).unwrap();
    for (prefix, state) in &states {
        assert_eq!(&read(&written, prefix), state);
    }
    // The tensors are PyTorch's to the bit, type and shape; only what is no norm's is left out.
    let [theirs, ours] = [&bytes, &written].map(|b| safetensors::SafeTensors::deserialize(b));
    let (theirs, ours) = (theirs.unwrap(), ours.unwrap());
    let mut names = 0;
    for (name, tensor) in theirs.tensors() {
        if name.starts_with("probe.") || name.starts_with("conv1.") {
            assert!(ours.tensor(&name).is_err());
            continue;
        }
        assert_eq!(ours.tensor(&name).unwrap(), tensor, "{name}");
        names += 1;
    }
    assert_eq!(ours.len(), names);
    let (_, header) = safetensors::SafeTensors::read_metadata(&written).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    // For `make_state.py --check`, where a person has PyTorch.
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("state.safetensors");
    std::fs::write(place, written).unwrap();
}

#[test]
fn the_whole_network_is_no_norm() {
    let bytes = file("f32");
    let file = StateFile::parse(&bytes).unwrap();
    let names = file.names().count();
    let error = file.at("", Convention::PyTorch).lenient().read();
    assert!(matches!(error, Err(Error::StateNames { .. })), "{error:?}");
    let norms = file
        .names()
        .filter(|n| !n.starts_with("probe.") && !n.starts_with("conv1."));
    assert_eq!((names, norms.count()), (38, 23));
}
