//! The table on the terminal.

use super::peer::Peer;
use super::{Launch, Report, Row};
use crate::suite::Dims;

/// A time in the unit in which it has one to three digits before the point.
pub(crate) fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// A number with so many digits behind the point, or a dash where there is none.
pub(crate) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// The columns of the peers.
fn columns(cells: impl Iterator<Item = String>) -> String {
    let columns: Vec<String> = cells.map(|cell| format!(" {cell:>20}")).collect();
    columns.concat()
}

/// A peer's time and what it is of ours.
pub(crate) fn beside(peer: &Peer, row: &Row) -> Option<String> {
    let (theirs, times) = peer.beside(row)?;
    Some(format!("{} = {times:.1}x", duration(theirs)))
}

pub(crate) fn machine(report: &Report) -> String {
    let cold = &report.cold_start;
    let [device, first, second] =
        [cold.device_ns, cold.first_step_ns, cold.second_step_ns].map(|ns| duration(ns as f64));
    format!(
        "{} ({}, {}), {} threads, wgpu {}, {} clock, seed {}\n\
         cold start: device {device}, first step with its kernels {first}, the next one {second}\n",
        report.adapter,
        report.backend,
        report.driver,
        report.threads,
        report.wgpu,
        report.clock,
        report.seed
    )
}

pub(crate) fn heading(peers: &[Peer]) -> String {
    let line = format!(
        "{:<10} {:<14} {:>4} {:>10} {:>7} {:>6} {:>6} {:>9} {:<11} {:>8} {:>6} {:>9} {:>10} {:>8}",
        "operation",
        "strategy",
        "disp",
        "time",
        "GB/s",
        "/copy",
        "floor",
        "of floor%",
        "target",
        "traffic%",
        "ideal%",
        "record",
        "wall",
        "error"
    );
    line + &columns(peers.iter().map(|peer| peer.name.clone()))
}

/// The rows of one shape under its name and its copies; empty where nothing was timed.
pub(crate) fn block(rows: &[Row], peers: &[Peer]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let dims = Dims(first.shape.clone());
    let mib = first.pass_bytes as f64 / f64::from(1 << 20);
    let rate = |ns: u64| (2 * first.pass_bytes) as f64 / ns.max(1) as f64;
    let copy = |name: &str, style: &str, ns: u64| {
        let time = duration(ns as f64);
        let ratio = ns as f64 / first.copy_ns.max(1) as f64;
        format!(
            "\n{name:<10} {style:<20} {time:>9} {:>7.2} {ratio:>6.2}",
            rate(ns)
        )
    };
    let kind = first.kind().map(|kind| format!(" {kind}"));
    let kind = kind.unwrap_or_default();
    let mut text = format!(
        "\n{}: {dims} {}{kind}, {mib:.2} MiB",
        first.suite, first.layout
    );
    text += &copy("copy", "", first.copy_ns);
    text += &copy(
        "best copy",
        first.best_copy_kernel,
        first.best_copy_kernel_ns,
    );
    text += &copy("copy", "the device's command", first.copy_command_ns);
    for row in rows {
        text.push('\n');
        text += &line(row, peers);
    }
    text
}

fn line(row: &Row, peers: &[Peer]) -> String {
    let [time, record, wall] =
        [row.median_ns, row.record_ns, row.wall_ns].map(|ns| duration(ns as f64));
    let line = format!(
        "{:<10} {:<14} {:>4} {time:>10} {:>7.2} {:>6.2} {:>6} {:>9} {:<11} {:>8.0} {:>6.0} {record:>9} {wall:>10} {:>8.1e}",
        row.op,
        row.strategy,
        row.dispatches,
        row.gb_per_s(),
        row.ratio,
        number(row.floor_ratio(), 2),
        number(row.floor_share().map(|share| 100.0 * share), 0),
        row.target_mark(),
        100.0 * row.traffic_share(),
        100.0 * row.ideal_share(),
        row.max_error
    );
    let plain = row
        .plain_ratio()
        .map(|ratio| format!("  {ratio:.2} of the plain one"));
    let allowed = row
        .allowed_ratio()
        .map(|allowed| format!(", {allowed:.2} allowed"));
    let peers = columns(
        peers
            .iter()
            .map(|peer| beside(peer, row).unwrap_or("-".to_owned())),
    );
    line + &peers + &plain.unwrap_or_default() + &allowed.unwrap_or_default()
}

pub(crate) fn launch(launch: &Launch) -> String {
    let dims = Dims(launch.shape.clone());
    let chain = launch.chain;
    let empty = duration(launch.empty_ns as f64);
    let rows = launch.ops.iter().map(|row| {
        let [record, chained] = [row.record_ns, row.chained_ns].map(|ns| duration(ns as f64));
        let (op, ratio) = (row.op, row.ratio);
        format!("\n{op:<10} {record:>12} {chained:>13} {ratio:>7.2}")
    });
    let rows: String = rows.collect();
    format!(
        "\nlaunch costs on {dims}: {chain} dependent empty dispatches take {empty}\n\
         operation   recorded in   {chain} chained  /empty{rows}"
    )
}

pub(crate) fn footer(report: &Report, failures: usize) -> String {
    let worst = report.rows.iter().map(|row| row.max_error);
    let worst = worst.fold(0.0, f64::max);
    let right = report.rows.len();
    match failures {
        0 => format!("\n{right} results verified, the worst off by {worst:.1e}"),
        wrong => format!("\n{wrong} results WRONG and not timed, {right} verified"),
    }
}
