//! The table, the comparison of learning rates, and what the program insists on.

use std::error::Error;

use ndarray::{Axis, Zip};

use crate::common::data::Digits;
use crate::common::optimizer::Method;
use crate::common::training::answers;
use crate::experiment::{GOAL, Run};

/// What the best run with batch norm has to reach on the held-out digits.
const BEST: f32 = 0.97;

/// How many times larger the largest usable SGD rate has to be with batch norm.
const RATIO: f32 = 10.0;

/// How far a logit may move when its digit is alone in the batch, in parts of the largest logit.
const SAME: f32 = 1e-5;

/// The same optimizers twice, in the same order.
pub(crate) struct Results<'d> {
    pub(crate) without: Vec<Run<'d>>,
    pub(crate) with: Vec<Run<'d>>,
}

impl<'d> Results<'d> {
    /// The run with batch norm that answers most held-out digits right.
    pub(crate) fn best(&self) -> Result<&Run<'d>, Box<dyn Error>> {
        let by_accuracy =
            |a: &&Run, b: &&Run| a.held_out_accuracy().total_cmp(&b.held_out_accuracy());
        Ok(self
            .with
            .iter()
            .max_by(by_accuracy)
            .ok_or("no run at all")?)
    }

    pub(crate) fn print_table(&self) {
        let goal = format!("{:.0} % at", 100.0 * GOAL);
        println!("\n            |      without batch norm      |       with batch norm");
        let columns = format!("{goal:>9}  {:>8}  {:>7}", "held out", "gap");
        println!("            | {columns} | {columns}");
        println!("------------+-{0}-+-{0}", "-".repeat(columns.len()));
        for (without, with) in self.without.iter().zip(&self.with) {
            let (method, rate) = (with.optimizer.method, with.optimizer.rate);
            println!(
                "{method:<4} {rate:<6} | {} | {}",
                cells(without),
                cells(with)
            );
        }
        println!(
            "\n{goal}: the first epoch after which more than that many held-out digits are right."
        );
        println!(
            "gap: accuracy on the training digits minus accuracy on the held-out ones, at the end.\n"
        );
    }

    /// Prints the comparison, and says everything that falls short of what is promised.
    pub(crate) fn verdict(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let mut complaints = Vec::new();
        for method in [Method::Sgd, Method::Adam] {
            let rates = [&self.without, &self.with].map(|runs| largest_rate(runs, method));
            let [without, with] = rates.map(|r| r.map_or("none".into(), |r| r.to_string()));
            println!(
                "largest {method:<4} rate that ends above {:.0} %: {without} without batch norm, {with} with it",
                100.0 * GOAL
            );
            // Rates like 0.3 are not exact in binary, so the ratio is compared a little below.
            let enough = matches!(rates, [Some(a), Some(b)] if b / a > 0.999 * RATIO);
            if method == Method::Sgd && !enough {
                complaints.push(format!(
                    "the largest SGD rate with batch norm ({with}) is not {RATIO} times the one without ({without})"
                ));
            }
        }
        let best = self.best()?;
        let accuracy = best.held_out_accuracy();
        println!(
            "best run with batch norm: {}, {:.1} % of the held-out digits are right",
            best.optimizer,
            100.0 * accuracy
        );
        if accuracy < BEST {
            complaints.push(format!(
                "the best run with batch norm ends at {:.1} %, less than {:.0} %",
                100.0 * accuracy,
                100.0 * BEST
            ));
        }
        Ok(complaints)
    }
}

/// One run's part of a table row.
fn cells(run: &Run) -> String {
    let goal = match run.epochs_to_goal() {
        Some(epoch) => format!("epoch {epoch:>2}"),
        None => "never".into(),
    };
    let held_out = run.held_out_accuracy();
    let gap = if run.diverged() {
        "diverged".into()
    } else {
        format!("{:+.1}", 100.0 * (run.train_accuracy - held_out))
    };
    format!("{goal:>9}  {:>6.1} %  {gap:>7}", 100.0 * held_out)
}

fn largest_rate(runs: &[Run], method: Method) -> Option<f32> {
    let usable = runs
        .iter()
        .filter(|run| run.optimizer.method == method && run.ends_above_goal());
    usable.map(|run| run.optimizer.rate).max_by(f32::total_cmp)
}

/// Asks the run's network for every held-out digit alone and says if an answer differs from the
/// one in the batch of all.
pub(crate) fn one_at_a_time(run: &Run, digits: &Digits) -> Result<Option<String>, Box<dyn Error>> {
    let together = run.network.infer(&digits.pixels)?;
    let mut alone = together.clone();
    for (pixels, mut row) in digits
        .pixels
        .axis_chunks_iter(Axis(0), 1)
        .zip(alone.rows_mut())
    {
        row.assign(&run.network.infer(&pixels.to_owned())?.row(0));
    }
    let different = Zip::from(&together)
        .and(&alone)
        .fold(0.0_f32, |most, a, b| most.max((a - b).abs()));
    let largest = together.fold(0.0_f32, |most, logit| most.max(logit.abs()));
    let (a, b) = (answers(&together), answers(&alone));
    let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    println!(
        "one digit at a time: {same} of {} answers as in one batch, logits up to {largest:.1} differ by at most {different:.1e}",
        digits.len()
    );
    let close = Zip::from(&together)
        .and(&alone)
        .all(|a, b| (a - b).abs() <= SAME * largest);
    let fine = close && same == digits.len();
    Ok((!fine).then(|| "a digit alone gets another answer than in a batch".into()))
}
