//! One page that stands alone: the picture, the tables and the machine.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::peer::Peer;
use super::table::{self, duration};
use super::{Report, Row, picture, say};
use crate::Outcome;
use crate::suite::Dims;

const STYLE: &str = "body{font:15px/1.45 sans-serif;color:#222;max-width:1240px;margin:2em auto;\
    padding:0 1em}svg{width:100%;height:auto}table{border-collapse:collapse;margin:1em 0}\
    th,td{padding:.15em .7em;text-align:right;border-bottom:1px solid #ddd}\
    th{background:#f3f3f3}th:nth-child(-n+6),td:nth-child(-n+6){text-align:left}\
    dl{display:grid;grid-template-columns:max-content auto;gap:.1em 1em}dd{margin:0}\
    .wide{overflow-x:auto}.wide td{white-space:nowrap}";

pub(crate) fn write(path: &Path, report: &Report, peers: &[Peer]) -> Outcome {
    let page = page(report, peers)?;
    fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
    say(format_args!("wrote {}", path.display()));
    Ok(())
}

fn page(report: &Report, peers: &[Peer]) -> Outcome<String> {
    let mut page = String::new();
    let adapter = escape(&report.adapter);
    write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <title>wgnorm on {adapter}</title><style>{STYLE}</style>\
         <h1>wgnorm on {adapter}</h1>"
    )?;
    machine(&mut page, report)?;
    page += "<h2>Time by that of a copy</h2><p>Lower is better. A copy of the same tensor is 1; \
             the dotted line is the fastest of several kernels that copy. Bars at the right edge of a \
             panel mark what a strategy would take if it moved its bytes at the copy's speed.</p>";
    page += &picture::svg(&report.rows)?;
    page += "<h2>All results</h2><div class=\"wide\">";
    rows(&mut page, report, peers)?;
    page += "</div>";
    launch(&mut page, report)?;
    page += "</html>\n";
    Ok(page)
}

fn machine(page: &mut String, report: &Report) -> Outcome {
    let cold = &report.cold_start;
    let [device, first, second] =
        [cold.device_ns, cold.first_step_ns, cold.second_step_ns].map(|ns| duration(ns as f64));
    let facts = [
        ("adapter", report.adapter.clone()),
        ("type", report.device_type.to_owned()),
        ("backend", report.backend.to_owned()),
        ("driver", report.driver.clone()),
        ("CPU threads", report.threads.to_string()),
        ("wgpu", report.wgpu.to_owned()),
        ("clock", report.clock.to_owned()),
        ("opening the device", device),
        ("first training step", format!("{first}, kernels included")),
        ("second training step", second),
    ];
    *page += "<dl>";
    for (name, fact) in facts {
        write!(page, "<dt>{name}</dt><dd>{}</dd>", escape(&fact))?;
    }
    *page += "</dl>";
    Ok(())
}

fn rows(page: &mut String, report: &Report, peers: &[Peer]) -> Outcome {
    let mut names: Vec<String> = [
        "shape",
        "layout",
        "operation",
        "tail",
        "way",
        "strategy",
        "dispatches",
        "time",
        "GB/s",
        "copy",
        "best copy kernel",
        "copy command",
        "time/copy",
        "floor/copy",
        "of floor %",
        "time/plain",
        "target",
        "traffic %",
        "ideal %",
        "record",
        "wall",
        "error",
    ]
    .map(str::to_owned)
    .into();
    names.extend(peers.iter().map(|peer| escape(&peer.name)));
    write!(page, "<table><tr><th>{}</tr>", names.join("<th>"))?;
    for row in &report.rows {
        let mut cells = cells(row);
        let theirs = |peer: &Peer| table::beside(peer, row).unwrap_or_default();
        cells.extend(peers.iter().map(theirs));
        write!(page, "<tr><td>{}</tr>", cells.join("<td>"))?;
    }
    *page += "</table>";
    Ok(())
}

fn cells(row: &Row) -> Vec<String> {
    let time = |ns: u64| duration(ns as f64);
    vec![
        Dims(row.shape.clone()).to_string(),
        row.layout.clone(),
        row.op.clone(),
        row.tail.to_owned(),
        row.way.to_owned(),
        row.strategy.clone(),
        row.dispatches.to_string(),
        time(row.median_ns),
        format!("{:.2}", row.gb_per_s()),
        time(row.copy_ns),
        format!(
            "{} ({})",
            time(row.best_copy_kernel_ns),
            row.best_copy_kernel
        ),
        time(row.copy_command_ns),
        format!("{:.2}", row.ratio),
        table::number(row.floor_ratio(), 2),
        table::number(row.floor_share().map(|share| 100.0 * share), 0),
        table::number(row.plain_ratio(), 2),
        row.target_mark(),
        format!("{:.0}", 100.0 * row.traffic_share()),
        format!("{:.0}", 100.0 * row.ideal_share()),
        time(row.record_ns),
        time(row.wall_ns),
        format!("{:.1e}", row.max_error),
    ]
}

fn launch(page: &mut String, report: &Report) -> Outcome {
    let Some(launch) = &report.launch else {
        return Ok(());
    };
    let dims = Dims(launch.shape.clone());
    let (chain, empty) = (launch.chain, duration(launch.empty_ns as f64));
    write!(
        page,
        "<h2>Launch costs on {dims}</h2><p>{chain} dependent empty dispatches take {empty}.</p>\
         <table><tr><th>operation<th>recorded in<th>{chain} chained<th>by the empty ones</tr>"
    )?;
    for row in &launch.ops {
        let [record, chained] = [row.record_ns, row.chained_ns].map(|ns| duration(ns as f64));
        let (op, ratio) = (row.op, row.ratio);
        write!(
            page,
            "<tr><td>{op}<td>{record}<td>{chained}<td>{ratio:.2}</tr>"
        )?;
    }
    *page += "</table>";
    Ok(())
}

/// Names come from drivers and files.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
