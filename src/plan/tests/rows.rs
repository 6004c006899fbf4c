//! `shaders/lib/rows.wgsl`, `rows_whole.wgsl` and `rows_ragged.wgsl` once more, and the loops of
//! `shaders/*_rows.wgsl`.

use super::params::RowsParams;
use super::slots::Slots;
use super::{Cut, Form, NUMBERS, Pass, Plan, Rows, field, sample_at};

pub(super) struct Slice {
    pub(super) slot: u32,
    pub(super) index: u32,
    pub(super) begin: u32,
    pub(super) end: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) at: u32,
    pub(super) word: u32,
    row: u32,
}

/// `Params`, and what the pipeline knows.
pub(super) struct Params {
    pub(super) workgroup: u32,
    pub(super) width: u32,
    ragged: bool,
    keeps_ends: bool,
    pub(super) groups: u32,
    pub(super) grid_width: u32,
    pub(super) slots_of: Slots,
    pub(super) count: u32,
    partials: u32,
    merged: u32,
    first_slot: u32,
    slots: u32,
    first_slice: u32,
    shift: u32,
    pub(super) inner: u32,
    row_stride: u32,
    pub(super) row_words: u32,
    slot_words: u32,
    slices: u32,
    slice_units: u32,
    more_units: u32,
    pub(super) turns: u32,
    piece_words: u32,
    pub(super) lanes: u32,
    /// Whether the shader takes every lane for full.
    pub(super) full: bool,
    step_words: u32,
    step_elements: u32,
}

impl Params {
    pub(super) fn new(plan: &Plan, cut: &Cut, rows: &Rows) -> Self {
        let block = RowsParams::new(plan, cut, rows, &NUMBERS);
        let block = bytemuck::bytes_of(&block);
        let get = |name| field(RowsParams::FIELDS, block, name);
        Self {
            workgroup: plan.workgroup,
            width: plan.word.width() as u32,
            ragged: plan.form == Form::Ragged,
            keeps_ends: plan.keeps_ends,
            groups: get("groups"),
            grid_width: get("grid_width"),
            slots_of: Slots::new(plan, get("fan"), get("gains")),
            count: get("count"),
            partials: get("partials"),
            merged: get("merged"),
            first_slot: get("first_slot"),
            slots: get("slots"),
            first_slice: get("first_slice"),
            shift: get("shift"),
            inner: get("inner"),
            row_stride: get("row_stride"),
            row_words: get("row_words"),
            slot_words: get("slot_words"),
            slices: get("slices"),
            slice_units: get("slice_units"),
            more_units: get("more_units"),
            turns: get("turns"),
            piece_words: get("piece_words"),
            lanes: get("lanes"),
            full: cut.geometry.is_full(plan.form, plan.workgroup),
            step_words: get("step_words"),
            step_elements: get("step_elements"),
        }
    }

    /// A lane's place among those that walk with it.
    fn place_of(&self, lane: u32) -> u32 {
        lane % self.lanes
    }

    /// `slice_of`, of the slot that the lane takes in this turn.
    pub(super) fn slice_of(&self, group: u32, lane: u32, turn: u32) -> Slice {
        let block = group / self.slices;
        let i = group - block * self.slices;
        let beside = self.workgroup / self.lanes;
        let slot = (block * self.turns + turn) * beside + lane / self.lanes;
        let begin = i * self.slice_units + i.min(self.more_units);
        let end = begin + self.slice_units + u32::from(i < self.more_units);
        Slice {
            slot: self.first_slot + slot,
            index: self.first_slice + i,
            begin: begin * 32,
            end: (end * 32).min(self.slot_words),
        }
    }

    /// Where a lane begins a piece: found in the slot of its first turn, and moved to that of this one.
    fn begin(&self, piece: &Slice, lane: u32) -> Cursor {
        let beside = self.workgroup / self.lanes;
        let before = (piece.slot - self.first_slot) / beside % self.turns * beside;
        let slot = piece.slot - before;
        let mut c = self.cursor_at(&Slice { slot, ..*piece }, piece.begin + self.place_of(lane));
        c.row = c.row.wrapping_add(before * self.inner);
        c
    }

    /// The pieces of a slice, one slot's of a lane.
    fn pieces(&self, slice: &Slice) -> Vec<Slice> {
        let mut pieces = Vec::new();
        let mut begin = slice.begin;
        while begin < slice.end {
            let end = ((begin / self.piece_words + 1) * self.piece_words).min(slice.end);
            pieces.push(Slice {
                begin,
                end,
                ..*slice
            });
            begin = end;
        }
        pieces
    }

    pub(super) fn shared_slot(&self, group: u32, turn: u32, lane: u32) -> Slice {
        let slot = (group * self.turns + turn) * (self.workgroup / self.lanes) + lane / self.lanes;
        Slice {
            slot: self.first_slot + slot.min(self.slots - 1),
            index: 0,
            begin: 0,
            end: u32::from(slot < self.slots) * self.slot_words,
        }
    }

    /// The words that a lane holds of a slot: of the buffer, and of the slot.
    pub(super) fn held_words(&self, slice: &Slice, lane: u32, held: u32) -> Vec<(u32, u32)> {
        let run = lane & (self.lanes - 1);
        let first = self.word_of(self.cursor_at(slice, 0));
        let mut cursor = self.cursor_at(slice, run);
        let mut words = Vec::new();
        for i in 0..held {
            let at = run + i * self.lanes;
            words.push(if self.full && self.row_words == self.slot_words {
                (first + at, at)
            } else if self.row_words == self.slot_words {
                let word = at.min(self.row_words - 1);
                (first + word, word)
            } else if cursor.at < slice.end {
                (self.word_of(cursor), at)
            } else {
                (first, at)
            });
            cursor = self.advance(cursor);
        }
        words
    }

    pub(super) fn cursor_at(&self, slice: &Slice, at: u32) -> Cursor {
        let first = self.shift + (slice.slot - self.first_slot) * self.inner;
        let rows = (at / self.row_words).wrapping_mul(self.row_stride);
        let (word, row) = (at % self.row_words, first.wrapping_add(rows));
        Cursor { at, word, row }
    }

    pub(super) fn advance(&self, c: Cursor) -> Cursor {
        let word = c.word + self.step_words;
        let carry = word >= self.row_words;
        let row = c.row.wrapping_add(self.step_elements);
        Cursor {
            at: c.at + self.lanes,
            word: if carry { word - self.row_words } else { word },
            row: row.wrapping_add(if carry { self.row_stride } else { 0 }),
        }
    }

    pub(super) fn word_of(&self, c: Cursor) -> u32 {
        c.row / self.width + c.word
    }

    /// Which components `members` leaves.
    pub(super) fn members(&self, c: Cursor, end: u32) -> impl Iterator<Item = u32> {
        let inner = if c.at < end { self.inner } else { 0 };
        let first = (self.word_of(c).wrapping_mul(self.width)).wrapping_sub(c.row);
        let (ragged, whole) = (self.ragged, c.at < end);
        (0..self.width).filter(move |&component| {
            if ragged {
                first.wrapping_add(component) < inner
            } else {
                whole
            }
        })
    }

    pub(super) fn elements_before(&self, slice: &Slice, at: u32) -> u32 {
        if !self.ragged {
            return at * self.width;
        }
        let c = self.cursor_at(slice, at);
        let begins = self.word_of(c) * self.width;
        at / self.row_words * self.inner + begins.clamp(c.row, c.row + self.inner) - c.row
    }

    pub(super) fn written_word(&self, c: Cursor) -> u32 {
        if self.ragged && !(self.keeps_ends && c.row == self.shift) {
            c.row.wrapping_add(self.width - 1) / self.width + c.word
        } else {
            self.word_of(c)
        }
    }

    pub(super) fn writes(&self, c: Cursor, end: u32) -> bool {
        let begins = self.written_word(c).wrapping_mul(self.width);
        c.at < end && (!self.ragged || begins < c.row.wrapping_add(self.inner))
    }

    /// `next_slot`.
    pub(super) fn next_slot(&self, slot: u32) -> u32 {
        let place = slot % self.count;
        if place + 1 == self.count {
            slot - place
        } else {
            slot + 1
        }
    }

    /// Whether `kept` of `element_ends_kept.wgsl` lets a component of that word be written.
    pub(super) fn is_stored(&self, word: u32, component: u32) -> bool {
        let rows = self.slot_words / self.row_words;
        let end = self.shift + (rows - 1) * self.row_stride + self.slots * self.inner;
        let element = word * self.width + component;
        !self.keeps_ends || element >= self.shift && element < end
    }

    /// The gain that `gained` gives a component of a word with this first place, which is
    /// `read_gains` or `written_gains`.
    pub(super) fn gain(&self, c: Cursor, word: u32, component: u32) -> u32 {
        if !self.ragged {
            return c.word * self.width + component;
        }
        let place = (word * self.width).wrapping_sub(c.row);
        let place = place.wrapping_add(component);
        match place {
            own if own < self.inner => own,
            next if next < 2 * self.inner => next - self.inner,
            _ => 0,
        }
    }

    /// Whether `spread` gives a component the slot's own value.
    pub(super) fn is_own(&self, c: Cursor, component: u32) -> bool {
        let first = (self.written_word(c) * self.width).wrapping_sub(c.row);
        !self.ragged || first.wrapping_add(component) < self.inner
    }

    pub(super) fn slot_partial(&self, slice: &Slice) -> u32 {
        slice.slot * self.partials + slice.index
    }

    pub(super) fn statistic_partial(&self, statistic: u32, i: u32) -> u32 {
        statistic * self.merged + i
    }

    pub(super) fn partial_slot(&self, statistic: u32, i: u32) -> u32 {
        statistic * self.slots_of.fan + i / self.partials
    }

    pub(super) fn statistic_partials(&self) -> u32 {
        self.merged
    }

    /// The elements that `slice_pivot` looks at.
    pub(super) fn samples(&self, slice: &Slice) -> impl Iterator<Item = u32> {
        (0..10).map(|i| {
            let c = self.cursor_at(slice, slice.begin + sample_at(i, slice.end - slice.begin));
            (self.word_of(c) * self.width + i % self.width).clamp(c.row, c.row + self.inner - 1)
        })
    }
}

/// How a kernel that sums takes the words of a lane: so many at once, and so many, then 32 times as
/// many, before it adds them to a larger sum; no fewer than have their gates in one word.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub(super) unroll: u32,
    pub(super) chunk: u32,
}

pub(super) const MOMENTS: Sums = Sums {
    unroll: 4,
    chunk: 32,
};
pub(super) const BACKWARD_SUMS: Sums = Sums {
    unroll: 2,
    chunk: 16,
};

/// `sum_pieces`: shows every word that is read with the end that masks it; returns its iterations.
pub(super) fn sum(
    params: &Params,
    slice: &Slice,
    lane: u32,
    sums: Sums,
    mut read: impl FnMut(Cursor, u32),
) -> u64 {
    let pieces = params.pieces(slice);
    let sum = |piece| 2 + sum_piece(params, piece, lane, sums, &mut read);
    pieces.iter().map(sum).sum()
}

/// `lane_sums`.
fn sum_piece(
    params: &Params,
    slice: &Slice,
    lane: u32,
    Sums { unroll, chunk }: Sums,
    read: &mut impl FnMut(Cursor, u32),
) -> u64 {
    let chunk = chunk.max(32 / params.width);
    let mut iterations = 0;
    let mut c = params.begin(slice, lane);
    while c.at < slice.end {
        let long_end = (c.at + 32 * chunk * params.lanes).min(slice.end);
        while c.at < long_end {
            let end = (c.at + chunk * params.lanes).min(long_end);
            while c.at < end {
                for _ in 0..unroll {
                    read(c, end);
                    c = params.advance(c);
                }
                iterations += 1;
            }
            iterations += 1;
        }
        iterations += 1;
    }
    iterations
}

/// The loops of a kernel that writes, which takes so many words at once.
pub(super) fn write(
    params: &Params,
    slice: &Slice,
    lane: u32,
    unroll: u32,
    mut visit: impl FnMut(Cursor, u32),
) -> u64 {
    let mut iterations = 0;
    for piece in params.pieces(slice) {
        let mut c = params.begin(&piece, lane);
        while c.at < piece.end {
            for _ in 0..unroll {
                visit(c, piece.end);
                c = params.advance(c);
            }
            iterations += 1;
        }
        iterations += 2;
    }
    iterations
}

/// The most loop iterations of a lane in any kernel, by formula.
pub(super) fn iterations(plan: &Plan, rows: &Rows, pass: Pass) -> u64 {
    if let Form::HeldRows(held) = plan.form {
        let turn = 8 * u64::from(held) + 2 * reduction(plan.workgroup) + 1;
        return u64::from(rows.turns) * turn + 4 * u64::from(held);
    }
    let units = u64::from(rows.slot_words.div_ceil(32));
    let slice = units.div_ceil(rows.slices.max(1).into()) * 32;
    let turns = u64::from(rows.turns);
    let piece = slice.min(rows.piece_words.into());
    // A slice may begin and end within one.
    let pieces = turns * (slice.div_ceil(piece) + u64::from(turns > 1));
    let words = piece.div_ceil(rows.lanes.into());
    // The gates of 8 words are read or written together.
    let of_piece = |unroll: u64| words.div_ceil(unroll) + words.div_ceil(8);
    let walk = |unroll: u64| pieces * (2 + of_piece(unroll));
    let sums = |Sums { unroll, chunk }: Sums| {
        let (unroll, chunk) = (u64::from(unroll), u64::from(chunk));
        let levels = words.div_ceil(chunk) + words.div_ceil(32 * chunk);
        pieces * (4 + of_piece(unroll) + levels)
    };
    if pass == Pass::Flat {
        return walk(2);
    }
    let merged = u64::from(plan.partials) * u64::from(plan.fan);
    let share = merged.div_ceil(rows.lanes.into());
    let share = share + share.div_ceil(32);
    let reduction = reduction(rows.lanes);
    let slots = turns * if plan.form == Form::Ragged { 2 } else { 1 };
    let moments = 12 * turns + sums(MOMENTS) + reduction;
    let normalize = slots * (10 + 2 * share + 2 * reduction) + walk(4);
    let backward_sums = sums(BACKWARD_SUMS) + reduction;
    let backward_dx = slots * (share + reduction) + walk(2);
    moments.max(normalize).max(backward_sums).max(backward_dx)
}

/// Iterations of `lanes_sum`.
fn reduction(lanes: u32) -> u64 {
    let (mut live, mut rounds) = (lanes, 0);
    while live > 1 {
        live = live.div_ceil(4);
        rounds += 1;
    }
    4 * rounds
}
