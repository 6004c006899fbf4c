//! What the lanes of a case are, and what they say beside the operations' own times.

use crate::case::{Case, Op};
use crate::measure::Lane;
use crate::order::Order;
use crate::report::Row;
use crate::tail::{Extra, Rates, Tail, allowed_ns};
use crate::targets;

/// The lanes by what they measure.
pub(crate) struct Turns<'l, 'a> {
    /// The yardstick, the best kernel and the device's own command.
    pub(crate) copies: &'l [Lane<'a>],
    /// Each operation, and behind it the plain one, where it is not plain itself.
    ops: &'l [Lane<'a>],
    has_plain: bool,
    /// The probes of an operation come together, one for each order.
    floors: &'l [Lane<'a>],
    /// What a tail adds, for each order.
    rates: Vec<Rates>,
    orders: &'l [Order],
}

impl<'l, 'a> Turns<'l, 'a> {
    /// Takes apart three copies, so many operations, each with the plain one if that is another, and all
    /// probes, with those of the tail last.
    pub(crate) fn of(
        lanes: &'l [Lane<'a>],
        ops: usize,
        has_plain: bool,
        orders: &'l [Order],
    ) -> Self {
        let (copies, others) = lanes.split_at(3);
        let (timed, others) = others.split_at(ops * each(has_plain));
        let (floors, passes) = others.split_at(others.len().min(ops * orders.len()));
        let rates = passes.chunks_exact(2).map(|passes| Rates {
            load_ns: passes[0].median(),
            store_ns: (passes[1].median() - passes[0].median()).max(0.0),
        });
        Self {
            copies,
            ops: timed,
            has_plain,
            floors,
            rates: rates.collect(),
            orders,
        }
    }

    /// The lane of an operation.
    pub(crate) fn op(&self, i: usize) -> &'l Lane<'a> {
        &self.ops[i * each(self.has_plain)]
    }

    /// The row of an operation with its floors, beside the plain one, and with what its tail may cost.
    pub(crate) fn complete(&self, row: Row, case: &Case, (i, op): (usize, Op)) -> Row {
        let is_split = targets::is_split(&row.strategy);
        let extra = case.tail.extra(op, is_split, case.bits());
        let gates = case.tail.gates(op, is_split, case.bits());
        let copy_ns = self.copies[0].median();
        let ns = |extra: Extra, rates: Option<&Rates>| extra.ns(rates.copied(), copy_ns);
        let floors = self.floors.chunks(self.orders.len());
        let floors = floors.into_iter().nth(i).unwrap_or_default();
        let floor = |lane: Option<&Lane<'_>>, rates: Option<&Rates>| {
            lane.map(|lane| (lane.median() + ns(gates, rates)) as u64)
        };
        // In the order of the memory only where there is no other.
        let others = floors.len().min(2).saturating_sub(1)..floors.len();
        let medians = |&a: &usize, &b: &usize| floors[a].median().total_cmp(&floors[b].median());
        let best = others.min_by(medians).unwrap_or_default();
        let order = self.orders.get(best).filter(|_| !floors.is_empty());
        let plain_ns = self.has_plain.then(|| self.ops[2 * i + 1].median());
        let by_tail = plain_ns.filter(|_| case.tail != Tail::None);
        let allowed = by_tail.map(|plain| allowed_ns(plain, ns(extra, self.rates.get(best))));
        Row {
            floor_ns: floor(floors.get(best), self.rates.get(best)),
            floor_order: order.map(|order| order.name()),
            sequential_floor_ns: floor(floors.first(), self.rates.first()),
            plain_ns: plain_ns.map(|ns| ns as u64),
            allowed_ns: allowed.map(|ns| ns as u64),
            ..row
        }
    }
}

/// The lanes of an operation.
fn each(has_plain: bool) -> usize {
    1 + usize::from(has_plain)
}
