//! The norm at a prefix of a state file.

use super::file::{Entry, StateFile};
use super::{Convention, NormState, Part, RunningState, values};
use crate::{Error, Result, Shape};

/// One norm of a [`StateFile`]: the tensors whose names begin with a prefix.
///
/// It is *strict*: every tensor that the norm should have is there, and under the prefix there is no
/// other. [`lenient`](Self::lenient) takes what fits and leaves the rest; a value that does not fit its
/// place (another shape or element type, a count that is none) is an error even then, and so are a mean
/// without a variance, the reverse, and a prefix that has none of the norm's tensors.
#[derive(Clone, Debug)]
pub struct Section<'f> {
    file: &'f StateFile<'f>,
    prefix: String,
    convention: Convention,
    lenient: bool,
}

/// What a lenient reading passed over; nothing for a strict one, which fails instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a lenient reading may have found little of what it wanted"]
pub struct Mismatch {
    /// The tensors that the norm has and the file has not: they keep their values.
    pub missing: Vec<String>,
    /// The tensors under the prefix that the norm has not: they were not read.
    pub unexpected: Vec<String>,
}

impl<'f> Section<'f> {
    pub(super) fn new(file: &'f StateFile<'f>, prefix: &str, convention: Convention) -> Self {
        Self {
            file,
            prefix: prefix.to_owned(),
            convention,
            lenient: false,
        }
    }

    /// The same norm, read leniently.
    #[must_use]
    pub fn lenient(self) -> Self {
        Self {
            lenient: true,
            ..self
        }
    }

    /// The state of a norm that has whichever of the convention's tensors the file has.
    ///
    /// Strict, it fails with [`Error::StateNames`] for names that the convention does not know, and for
    /// PyTorch's running statistics without `num_batches_tracked`, as PyTorch wrote them before 0.4.1;
    /// lenient, it passes over both.
    pub fn read(&self) -> Result<NormState> {
        let there = |part: &Part| self.entry(*part).is_some();
        let has_running = self.has_running();
        let wanted: Vec<Part> = Part::ALL
            .into_iter()
            .filter(|part| match part {
                Part::Gamma | Part::Beta => there(part),
                _ => has_running,
            })
            .collect();
        let first = wanted.iter().find_map(|&part| self.entry(part));
        let Some((_, first)) = first else {
            return Err(self.nothing(&Part::ALL));
        };
        Ok(self.read_parts(&wanted, &first.shape)?.0)
    }

    /// What the file has of these tensors of a norm, each of that shape.
    pub(crate) fn read_parts(
        &self,
        wanted: &[Part],
        shape: &Shape,
    ) -> Result<(NormState, Mismatch)> {
        let mismatch = self.checked_names(wanted)?;
        let floats = |part: Part| -> Result<Option<Vec<f32>>> {
            let wanted = wanted.contains(&part).then(|| self.entry(part)).flatten();
            let read = |(name, entry): (String, &Entry<'_>)| values::floats(&name, entry, shape);
            wanted.map(read).transpose()
        };
        let [gamma, beta] = [floats(Part::Gamma)?, floats(Part::Beta)?];
        let running = match (floats(Part::Mean)?, floats(Part::Var)?) {
            (Some(mean), Some(var)) => Some(RunningState {
                mean,
                var,
                num_batches_tracked: self.count()?,
            }),
            (None, None) => None,
            (None, Some(_)) => return Err(self.nothing(&[Part::Mean])),
            (Some(_), None) => return Err(self.nothing(&[Part::Var])),
        };
        if !wanted.is_empty() && gamma.is_none() && beta.is_none() && running.is_none() {
            return Err(self.nothing(wanted));
        }
        let state = NormState {
            shape: shape.clone(),
            gamma,
            beta,
            running,
        };
        Ok((state, mismatch))
    }

    /// What does not match, which a strict reading refuses.
    fn checked_names(&self, wanted: &[Part]) -> Result<Mismatch> {
        // Without statistics there is nothing that a count could count.
        let ignored = (self.lenient && !self.has_running()).then_some(Part::Tracked);
        let wanted: Vec<Part> = wanted
            .iter()
            .copied()
            .filter(|&part| Some(part) != ignored)
            .collect();
        let mismatch = self.mismatch(&wanted);
        if self.lenient || mismatch == Mismatch::default() {
            return Ok(mismatch);
        }
        let Mismatch {
            missing,
            unexpected,
        } = mismatch;
        Err(Error::StateNames {
            missing,
            unexpected,
        })
    }

    fn has_running(&self) -> bool {
        let mut statistics = [Part::Mean, Part::Var].into_iter();
        statistics.any(|part| self.entry(part).is_some())
    }

    fn count(&self) -> Result<Option<u32>> {
        let read = |(name, entry): (String, &Entry<'_>)| values::count(&name, entry);
        self.entry(Part::Tracked).map(read).transpose()
    }

    fn name(&self, part: Part) -> Option<String> {
        self.convention.name(&self.prefix, part)
    }

    fn entry(&self, part: Part) -> Option<(String, &'f Entry<'f>)> {
        let name = self.name(part)?;
        let entry = self.file.get(&name)?;
        Some((name, entry))
    }

    fn mismatch(&self, wanted: &[Part]) -> Mismatch {
        let wanted: Vec<String> = wanted.iter().filter_map(|&part| self.name(part)).collect();
        let of_statistics = self.convention.prefix_of_statistics(&self.prefix);
        let mut prefixes = vec![self.prefix.as_str(), &of_statistics];
        prefixes.dedup();
        let found = prefixes
            .iter()
            .flat_map(|prefix| self.file.names_under(prefix));
        Mismatch {
            unexpected: found
                .filter(|name| !wanted.iter().any(|wanted| wanted == name))
                .map(str::to_owned)
                .collect(),
            missing: wanted
                .into_iter()
                .filter(|name| self.file.get(name).is_none())
                .collect(),
        }
    }

    /// What is missing makes even a lenient reading senseless.
    fn nothing(&self, parts: &[Part]) -> Error {
        Error::StateNames {
            missing: parts.iter().filter_map(|&part| self.name(part)).collect(),
            unexpected: Vec::new(),
        }
    }
}
