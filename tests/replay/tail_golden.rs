//! The example against what `PyTorch` computed in float64 for tails and 16-bit storage: the files in
//! `tests/golden/tails` and `half`, which it is given as they are. Their generator says what is in them.

use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;

use crate::oracle::wanted;
use crate::{Request, Results, replay};

/// The cases of a folder, of which there are `count`.
fn cases(folder: &str, count: usize) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{folder}"));
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    assert_eq!(paths.len(), count, "golden files in {}", folder.display());
    paths
}

/// Compares everything that the example writes for a case, and that it writes nothing else.
fn check(path: &Path) {
    let case = std::fs::read(path).unwrap();
    let ran = replay(&case);
    if ran.skipped() {
        return;
    }
    let name = path.file_stem().unwrap().display();
    assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
    let results = Results::read(&ran.output.unwrap());
    let folder = path.with_file_name("expected");
    let expected = std::fs::read(folder.join(path.file_name().unwrap())).unwrap();
    let expected = Results::read(&expected);
    assert_eq!(results.names(), expected.names(), "{name}");

    let request = Request::read(&case);
    let wanted = wanted(&request, &results);
    assert_eq!(results.names().len(), wanted.len(), "{name}");
    for (result, wanted) in wanted {
        if result == "num_batches_tracked" {
            let tracked = expected.num_batches_tracked();
            assert_eq!(results.num_batches_tracked(), tracked, "{name}");
            continue;
        }
        let got = results.wide(result, &wanted.shape, wanted.dtype);
        let want = expected.wide(result, &wanted.shape, Dtype::F64);
        let (error, bound) = (wanted.error(&got, &want), wanted.bound);
        assert!(
            error <= bound,
            "{name}: {result} is off by {error:e}, allowed are {bound:e}"
        );
    }
}

#[test]
fn tails_are_those_of_pytorch() {
    for path in cases("tails", 9) {
        check(&path);
    }
}

#[test]
fn norms_of_16_bits_are_those_of_pytorch() {
    for path in cases("half", 7) {
        check(&path);
    }
}

#[test]
fn masked_batches_are_those_of_pytorch() {
    for path in cases("masks", 4) {
        check(&path);
    }
}
