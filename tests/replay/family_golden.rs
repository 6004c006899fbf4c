//! The example against what `PyTorch` computed in float64 for batch norm's relatives: the files in
//! `tests/golden/family`, whose generator says what is in them.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};

use crate::oracle::wanted;
use crate::{Request, norm};

/// A golden file as a request, and the results that it should have.
struct Golden {
    name: String,
    request: Request,
    results: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Golden {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let words = header.metadata().as_ref().unwrap()["case"].split(' ');
        let mut request = words.fold(Request::default(), |request, word| {
            let (key, value) = word.split_once('=').unwrap();
            request.meta(key, value)
        });
        let mut results = HashMap::new();
        for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let values = tensor.data().chunks_exact(8);
            let values = values.map(|b| f64::from_le_bytes(b.try_into().unwrap()));
            if let Some(result) = name.strip_prefix("out.") {
                let result = result.to_owned();
                results.insert(result, (tensor.shape().to_vec(), values.collect()));
            } else {
                let narrow: Vec<f32> = values.map(|value| value as f32).collect();
                request = request.f32(name, tensor.shape(), &narrow);
            }
        }
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            request,
            results,
        }
    }

    /// Whether there was an adapter to run it on.
    fn check(&self) -> bool {
        let Some(results) = self.request.results() else {
            return false;
        };
        let wanted = wanted(&self.request, &results);
        // The inputs were rounded to 32 bits, which moves results by more than their own rounding
        // where x is large beside its spread.
        let x = self.request.wide("x").unwrap_or_default();
        let size = norm(&x) / (x.len().max(1) as f64).sqrt();
        let bound = 1e-6 * (1.0 + size / 20.0);
        for (name, wanted) in &wanted {
            if *name == "num_batches_tracked" {
                continue;
            }
            let (shape, expected) = &self.results[*name];
            let error = wanted.error(&results.wide(name, shape, Dtype::F32), expected);
            assert!(
                error <= bound,
                "{}: {name} is off by {error:e}, allowed are {bound:e}",
                self.name
            );
        }
        assert_eq!(results.names(), wanted.into_keys().collect::<Vec<_>>());
        true
    }
}

#[test]
fn results_are_those_of_pytorch() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/family");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "safetensors") {
            continue;
        }
        let golden = Golden::read(&path);
        if !golden.check() {
            return;
        }
        cases += 1;
    }
    assert!(cases >= 25, "only {cases} golden files");
}
