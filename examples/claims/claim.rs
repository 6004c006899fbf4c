//! A sentence that was measured.

use std::error::Error;

/// What a text says, and what came out.
pub(crate) struct Claim {
    pub(crate) text: &'static str,
    pub(crate) holds: bool,
    /// The numbers that decided.
    pub(crate) numbers: String,
    /// Whether it can be proved, so that a measurement against it is a mistake.
    pub(crate) proved: bool,
}

impl Claim {
    /// A claim that the data decides.
    pub(crate) fn new(text: &'static str, holds: bool, numbers: String) -> Self {
        Self {
            text,
            holds,
            numbers,
            proved: false,
        }
    }

    /// A claim that has to hold.
    pub(crate) fn proved(text: &'static str, holds: bool, numbers: String) -> Self {
        Self {
            proved: true,
            ..Self::new(text, holds, numbers)
        }
    }

    pub(crate) fn print(&self) {
        let verdict = if self.holds {
            "holds"
        } else {
            "does not hold here"
        };
        println!("  \"{}\": {verdict}\n    {}", self.text, self.numbers);
    }

    pub(crate) fn complain(&self) -> Result<(), Box<dyn Error>> {
        let mut words = self.numbers.split_whitespace();
        if words.any(|word| ["NaN", "inf", "-inf"].contains(&word)) {
            return Err(format!("\"{}\" is not decided by numbers", self.text).into());
        }
        if self.proved && !self.holds {
            return Err(format!("\"{}\" can be proved and does not hold", self.text).into());
        }
        Ok(())
    }
}
