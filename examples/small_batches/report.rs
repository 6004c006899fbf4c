//! The table and what follows from it.

use crate::common::several::Measured;
use crate::experiment::{BATCHES, Cell, Contestant};

/// By how much an accuracy has to differ, beside what chance does, to count as different.
const TOLERANCE: f32 = 0.01;

/// What every contestant has to reach in batches of 32, so that there is something to compare.
const LEAST: f32 = 0.85;

/// The cells of a contestant, in the order of the batches.
pub(crate) fn row(cells: &[Cell], contestant: Contestant) -> impl Iterator<Item = &Cell> {
    cells
        .iter()
        .filter(move |cell| cell.contestant == contestant)
}

pub(crate) fn print_table(cells: &[Cell]) {
    let print = |name: &str, value: &dyn Fn(&Cell) -> Measured, contestant| {
        let values: Vec<String> = row(cells, contestant)
            .map(|cell| format!("{:>11}", value(cell).percent()))
            .collect();
        println!("{name:<16} | {}", values.join(" "));
    };
    let sizes = BATCHES.map(|n| format!("{n:>11}"));
    println!("\ndigits in batch  | {}", sizes.join(" "));
    println!("{}+{}", "-".repeat(17), "-".repeat(12 * BATCHES.len()));
    for contestant in Contestant::ALL {
        print(contestant.name(), &|cell| cell.accuracy, contestant);
        if contestant.runs() {
            let name = format!("{}, measured", contestant.name());
            print(&name, &|cell| cell.recalibrated, contestant);
        }
    }
    println!(
        "\nHeld-out digits that are right, in percent, and the standard deviation over the seeds."
    );
    println!(
        "measured: the same networks with the statistics of all training digits in place of the\nrunning ones.\n"
    );
}

/// Prints what the numbers say, and gives everything that falls short of what is promised.
pub(crate) fn verdict(cells: &[Cell]) -> Vec<String> {
    let mut complaints = Vec::new();
    let without: Vec<Measured> = row(cells, Contestant::Without)
        .map(|cell| cell.accuracy)
        .collect();
    for contestant in Contestant::ALL.into_iter().skip(1) {
        let row: Vec<&Cell> = row(cells, contestant).collect();
        let sizes = |holds: &dyn Fn(Measured, Measured) -> bool| -> Vec<usize> {
            let pairs = row.iter().zip(&without);
            let pairs = pairs.filter(|(cell, without)| holds(cell.accuracy, **without));
            pairs.map(|(cell, _)| cell.batch).collect()
        };
        let worse = sizes(&|with, without| is_clearly_above(without, with));
        let better = sizes(&|with, without| is_clearly_above(with, without));
        let name = contestant.name();
        println!(
            "{name}: worse than without, in batches of: {}; better: {}",
            list(&worse),
            list(&better)
        );
        if contestant == Contestant::Batch && !worse.contains(&BATCHES[0]) {
            complaints.push("batch norm loses nothing in the smallest batches".to_owned());
        }
    }
    let smallest = |contestant| row(cells, contestant).next().map(|cell| cell.accuracy);
    let ends = smallest(Contestant::Layer).zip(smallest(Contestant::Batch));
    if !ends.is_some_and(|(layer, batch)| is_clearly_above(layer, batch)) {
        complaints.push("layer norm gains nothing in the smallest batches".to_owned());
    }
    for cell in cells.iter().filter(|cell| cell.batch == 32) {
        if cell.accuracy.mean < LEAST {
            let (name, got) = (cell.contestant.name(), cell.accuracy.percent());
            complaints.push(format!("{name} has only {got} % in batches of 32"));
        }
    }
    for contestant in Contestant::ALL.into_iter().filter(|c| c.runs()) {
        say_where_it_goes(cells, contestant);
    }
    println!(
        "\nworse and better: by more than {:.0} point, and by twice the standard error of the difference.\n",
        100.0 * TOLERANCE
    );
    complaints
}

fn is_clearly_above(a: Measured, b: Measured) -> bool {
    a.mean - b.mean > TOLERANCE && a.is_above(b)
}

fn list(sizes: &[usize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    if sizes.is_empty() {
        "none".to_owned()
    } else {
        sizes.join(", ")
    }
}

/// How much of what is lost in the smallest batches the running statistics have lost, and how much
/// the training itself.
fn say_where_it_goes(cells: &[Cell], contestant: Contestant) {
    let row: Vec<&Cell> = row(cells, contestant).collect();
    let best = row
        .iter()
        .map(|cell| cell.accuracy.mean)
        .fold(0.0, f32::max);
    if let Some(cell) = row.first() {
        println!(
            "{} in batches of {}: {:.1} points below its best, {:.1} of them by the running statistics",
            contestant.name(),
            cell.batch,
            100.0 * (best - cell.accuracy.mean),
            100.0 * (cell.recalibrated.mean - cell.accuracy.mean)
        );
    }
}
