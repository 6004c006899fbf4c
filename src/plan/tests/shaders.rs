//! Holds the twins to the shaders: each passage that a twin copies has to be in the source, so that
//! whoever changes it there hears of the twin.

macro_rules! shader {
    ($stem:literal) => {
        include_str!(concat!("../../../shaders/", $stem, ".wgsl"))
    };
}

/// The code alone, with every run of white space as one space.
fn code(source: &str) -> String {
    let lines = source.lines().map(|line| line.split("//").next());
    let code: Vec<&str> = lines.flatten().flat_map(str::split_whitespace).collect();
    code.join(" ")
}

fn holds(source: &str, passages: &[&str]) {
    let code = code(source);
    for passage in passages {
        assert!(
            code.contains(passage),
            "not in its shader any more: {passage}"
        );
    }
}

#[test]
fn the_twins_of_rows_know_their_shaders() {
    holds(
        shader!("lib/rows"),
        &[
            "let block = group / params.slices; let i = group - block * params.slices; \
             let slot = slot_of_lane(block, lane);",
            "return place_of(lane) == 0u;",
            "return Slice(slice.slot + turn * slots_beside(), slice.index, slice.begin, slice.end);",
            "return Cursor(c.at, c.word, c.row + turn * slots_beside() * params.inner);",
            "let begin = i * params.slice_units + min(i, params.more_units); \
             let end = begin + params.slice_units + select(0u, 1u, i < params.more_units);",
            "params.first_slice + i, begin * 32u, min(end * 32u, params.slot_words),",
            "let slot = (group * params.turns + turn) * (WORKGROUP / params.lanes) + lane / params.lanes; \
             let exists = slot < params.slots; \
             let last = params.first_slot + min(slot, params.slots - 1u); \
             return Slice(last, 0u, 0u, select(0u, params.slot_words, exists));",
            "let first = params.shift + (slice.slot - params.first_slot) * params.inner;",
            "let place = slot % params.count; \
             return select(slot + 1u, slot - place, place + 1u == params.count);",
            "let word = c.word + stride.step_words; let carry = word >= stride.row_words;",
            "c.row + stride.step_elements + select(0u, stride.row_stride, carry),",
            "return partial_index(slot * params.partials + slice);",
            "return partial_index(statistic * params.merged + i);",
            "return params.merged;",
            "return statistic * params.fan + i / params.partials;",
        ],
    );
    holds(
        shader!("lib/rows_pivot"),
        &[
            "let at = slice.begin + sample_at(i, slice.end - slice.begin); let c = cursor_at(slice, at);",
            "let first = word_of(c) * WIDTH; \
             let element = clamp(first + i % WIDTH, c.row, c.row + params.inner - 1u);",
        ],
    );
    holds(
        shader!("lib/rows_ragged"),
        &[
            "let first = word_of(c) * WIDTH - c.row; \
             let inner = select(0u, stride.inner, c.at < stride.end);",
            "clamp(word_of(c) * WIDTH, c.row, c.row + params.inner) - c.row; \
             return at / params.row_words * params.inner + in_row;",
            "if KEEPS_ENDS && c.row == params.shift { return word_of(c); } \
             return (c.row + WIDTH - 1u) / WIDTH + c.word;",
            "return c.at < stride.end && written_word(c) * WIDTH < c.row + stride.inner;",
        ],
    );
    holds(
        shader!("lib/rows_whole"),
        &[
            "return c.row / WIDTH + c.word;",
            "return select(Word(0.0), v, c.at < stride.end);",
            "return at * WIDTH;",
        ],
    );
    for source in [shader!("normalize_rows"), shader!("backward_dx_rows")] {
        holds(
            source,
            &[
                "let first = cursor_at(slice, begin + place_of(lane)); \
                 stride.end = pieces_end(begin, 1u, slice.end);",
                "write_piece(in_turn(slice, t).slot, cursor_in_turn(first, t), stride, owns[t], nexts[t]);",
                "(next_slot(slot),",
                "begin = stride.end;",
            ],
        );
    }
    holds(
        shader!("moments_rows"),
        &[
            "1024u * walkers()",
            "32u * walkers()",
            "c0 = advance(c3, stride);",
        ],
    );
    holds(
        shader!("backward_sums_rows"),
        &[
            "const PART: u32 = max(32u / WIDTH, 16u);",
            "32u * PART * walkers()",
            "c0.at + PART * walkers()",
            "c0 = advance(c1, stride);",
        ],
    );
}

#[test]
fn the_twins_of_lanes_know_their_shaders() {
    holds(
        shader!("lib/lanes_together"),
        &[
            "return WORKGROUP;",
            "return lane;",
            "return block * turns();",
            "return 1u;",
        ],
    );
    holds(
        shader!("lib/lanes_apart"),
        &[
            "return 1u;",
            "return 0u;",
            "return block * WORKGROUP * turns() + lane;",
            "return WORKGROUP;",
        ],
    );
}

#[test]
fn the_twins_of_turns_know_their_shaders() {
    holds(
        shader!("lib/turns_one"),
        &["const TURNS: u32 = 1u;", "return 1u;", "return end;"],
    );
    holds(
        shader!("lib/turns_many"),
        &[
            "const TURNS: u32 = 32u;",
            "return params.turns;",
            "return min((begin / params.piece_words + pieces) * params.piece_words, end);",
        ],
    );
}

#[test]
fn the_twins_of_slots_and_folds_know_their_shaders() {
    holds(
        shader!("lib/slots"),
        &[
            "if has(GROUPED) { return slot / params.fan; } return slot;",
            "return !has(GROUPED) || slot % params.fan == 0u;",
            "if has(GROUPED) { return slot % params.gains; } return slot;",
        ],
    );
    holds(
        shader!("lib/state"),
        &["return 1u + c;", "return 1u + params.saved + p;"],
    );
    for source in [shader!("lib/partial_moments"), shader!("lib/partial_sums")] {
        holds(
            source,
            &[
                "begin < statistic_partials(); begin += 32u * ways",
                "min(begin + 32u * ways, statistic_partials()); \
                 for (var i = begin; i < end; i += ways)",
                "state_at(statistic_partial(statistic, i))",
            ],
        );
    }
    holds(
        shader!("lib/partial_sums"),
        &["part *= gain(partial_slot(statistic, i));"],
    );
    holds(shader!("lib/gains_slot"), &["return gamma[gain_of(slot)];"]);
    holds(
        shader!("lib/gains_element"),
        &["return v * unpack_gains(gamma[word]);"],
    );
    holds(
        shader!("fold_sums"),
        &[
            "let batch = i / params.partials; let partial = i - batch * params.partials; \
             let before = batch * params.count * params.partials; return partial_index(\
             before + gain * params.slot_step + partial * params.partial_step);",
            "let n = params.batches * params.partials;",
            "let few = 16u * WORKGROUP; let many = 16u * few;",
            "first < n; first += many",
            "begin < last; begin += few",
            "i < end; i += WORKGROUP",
        ],
    );
    holds(
        shader!("fold_statistics"),
        &[
            "let few = 16u * WORKGROUP; let many = 16u * few;",
            "first < params.batches; first += many",
            "begin < last; begin += few",
            "i < end; i += WORKGROUP",
            "state_at(saved_index(i * params.count + c))",
        ],
    );
}

#[test]
fn the_twins_know_who_leads_and_what_is_left() {
    holds(
        shader!("normalize_rows"),
        &[
            "affine_of(slot, slice.index == 0u && leads(slot), here)",
            "if owns && place_of(here.lane) == 0u { if has(SAVE) { set_state(saved_index(c), statistics); }",
            "let gains = written_gains(c); return offset_by(gained(xhat, gains)",
        ],
    );
    holds(
        shader!("normalize_columns"),
        &[
            "if column < params.count && leads(slot_of(slice, column)) { \
           let c = statistic_of(slot_of(slice, column)); \
           if has(SAVE) { set_state(saved_index(c), column_statistics(c, i)); }",
        ],
    );
    holds(
        shader!("moments_rows"),
        &["set_state(slot_partial(slice.slot, slice.index),"],
    );
    holds(
        shader!("backward_sums_rows"),
        &["set_sums(slot_partial(in_turn(slice, t).slot, slice.index),"],
    );
    for source in [shader!("moments_rows"), shader!("backward_sums_rows")] {
        holds(
            source,
            &[
                "let part_end = pieces_end(begin, 32u, slice.end);",
                "let first = cursor_at(slice, begin + place_of(lane)); \
                 stride.end = pieces_end(begin, 1u, part_end);",
                "lane_sums(in_turn(slice, t).slot, cursor_in_turn(first, t), stride,",
                "begin = stride.end;",
            ],
        );
    }
    for source in [
        shader!("moments_columns"),
        shader!("backward_sums_columns"),
        shader!("gain_sums_columns"),
    ] {
        holds(source, &["if is_column(slice, i) {"]);
        holds(source, &["(column_partial(slice, i),"]);
    }
    holds(
        shader!("backward_sums_rows"),
        &[
            "let dy0 = gained(valid(passed0, m0), read_gains(c0));",
            "let dy1 = gained(valid(passed1, m1), read_gains(c1));",
        ],
    );
    holds(
        shader!("backward_dx_rows"),
        &["gained(dy, written_gains(c))"],
    );
    holds(
        shader!("lib/rows_held"),
        &[
            "return held.first + min(held.run + i * held.lanes, held.last);",
            "held_words[i] = select(first, word_of(c), c.at < stride.end);",
            "if has(ONE_ROW) && has(FULL) { return held.first + held.run + i * held.lanes; }",
            "return has(FULL) || held.run + i * held.lanes < held.end;",
            "return min((lane & (params.lanes - 1u)) + i * params.lanes, params.row_words - 1u);",
        ],
    );
    holds(
        shader!("lib/gain_sums_held"),
        &[
            "let word = (lane & (params.lanes - 1u)) + i * params.lanes; if word < params.row_words {",
            "let element = share * params.inner + word * WIDTH + c;",
        ],
    );
    holds(
        shader!("backward_resident_rows"),
        &[
            "let g = gradient_of(slice.slot, saved, sums, held.run == 0u && held.end > 0u);",
            "if has(GROUPED) { set_sums(slot_partial(slot, 0u),",
            "leave_gains(group * (WORKGROUP / params.lanes) + lane / params.lanes, lane);",
        ],
    );
    holds(
        shader!("gain_sums_columns"),
        &[
            "let first_saved = saved_index(params.first_row);",
            "let saved = state_at(first_saved + row_of(walk, row, i));",
        ],
    );
}

#[test]
fn the_twins_of_columns_know_their_shaders() {
    holds(
        shader!("lib/columns"),
        &[
            "const ROWS: u32 = max(4u / SPAN, 1u);",
            "let slice = group / params.blocks; let block = group - slice * params.blocks; \
             let batch = slice / params.slices; let i = slice - batch * params.slices; \
             let begin = batch * params.rows + i * params.slice_rows + min(i, params.more_rows); \
             let end = begin + params.slice_rows + select(0u, 1u, i < params.more_rows);",
            "let works = word < word_end && row_lane < params.row_lanes && row_begin < slice.row_end;",
            "return first + (max(end, first + 1u) - 1u - first) / step * step;",
            "params.first_batch + batch, params.first_slice + i, \
             block * params.tile_words * WIDTH, begin, end,",
            "return walk.shift + row_of(walk, row, i) * walk.row_words + span_word(walk, i % SPAN);",
            "let word = walk.word + j * walk.word_step; return select(min(word, walk.last_word), word, has(FULL));",
            "return has(FULL) || walk.word + j * walk.word_step <= walk.last_word;",
            "return has(FULL) || j * walk.word_step < walk.tile_words;",
            "return select(min(row + i / SPAN * walk.row_step, walk.last_row), row, i < SPAN);",
            "let before = u32(f32(column) / f32(params.count)) * params.count; \
             let channel = column - before;",
            "return part << ((firstLeadingBit(parts | 1u) + 1u) / 2u);",
            "return slice.batch * params.count + channel_of(column);",
            "if !has(GROUPED) { return partial_index(i * params.count + statistic); } \
             let first = statistic * params.fan; let batch = first / params.count; \
             let row = batch * params.partials + i / params.fan; \
             return partial_index(\
             row * params.count + first - batch * params.count + i % params.fan);",
            "return params.merged;",
            "return statistic * params.fan + i % params.fan;",
            "return i < SPAN || row + i / SPAN * walk.row_step < walk.row_end;",
            "return params.row_lanes * (params.tile_words * WIDTH / merged_columns());",
            "let column = word * WIDTH + c; \
             return select(column - slice.first_column, channel_of(column), params.blocks == 1u);",
            "return walk.tile_element + j * walk.word_step * WIDTH + c;",
            "(row_lane * params.tile_words + place) * WIDTH, \
             select(0u, params.tile_words - place, row_lane < params.row_lanes),",
            "let before = slice.batch * params.partials * params.count; return partial_index(\
             before + slice.index * all_columns() + slice.first_column + i);",
        ],
    );
}

#[test]
fn the_twins_of_columns_know_their_loops() {
    for (source, part) in [
        (shader!("moments_columns"), "16u"),
        (shader!("backward_sums_columns"), "PART"),
        (shader!("gain_sums_columns"), "16u"),
    ] {
        let part = format!("min(row + {part} * step, long_end)");
        holds(source, &["min(row + most * step, walk.row_end)", &part]);
    }
    holds(
        shader!("moments_columns"),
        &["row < end; row += ROWS * step"],
    );
    for (source, end) in [
        (shader!("backward_sums_columns"), "gated_end"),
        (shader!("gain_sums_columns"), "end"),
    ] {
        holds(
            source,
            &[
                "const PAIRS: u32 = max(ROWS / 2u, 1u);",
                &format!("row < {end}; row += PAIRS * step"),
            ],
        );
    }
    holds(
        shader!("lib/gates_index"),
        &["min(at + 32u / WIDTH * step, end)"],
    );
    holds(
        shader!("lib/merge_tree"),
        &[
            "merge_tree(merged_lanes(), merged_columns(), lane);",
            "return min(merged_lanes(), statistic_partials());",
            "merge_scratch[i] += merge_scratch[i + half * columns];",
        ],
    );
    holds(
        shader!("lib/moments"),
        &[
            "let scattered = ((i + 1u) * 2654435761u) >> 23u; return (i * n + ((scattered * n) >> 9u)) / 10u;",
        ],
    );
    holds(
        shader!("forward_resident_columns"),
        &[
            "x_held[i] = load_x(held_word(walk, i)) - k; \
             let d = select(Word(0.0), x_held[i], is_held(walk, i));",
            "x_held[i] -= k; let d = select(Word(0.0), x_held[i], is_held(walk, i));",
            "let word = held_word(walk, i);",
            "if is_held(walk, i) { store_y(word, y);",
        ],
    );
    holds(
        shader!("backward_resident_columns"),
        &[
            "let word = held_word(walk, i); let x = less(load_x(word) - saved.k, saved.d);",
            "sum.dy += select(Word(0.0), dy, is_held(walk, i));",
            "if is_held(walk, i) { let word = held_word(walk, i);",
            "if slice.first_column + i < params.count { \
             let slot = slot_of(slice, slice.first_column + i);",
        ],
    );
    holds(
        shader!("lib/columns_held"),
        &[
            "if has(FULL) { return walk.shift + (walk.row_begin + i * walk.row_step) * walk.row_words + walk.word; } \
             return word_of(walk, walk.row_begin, i);",
            "return has(FULL) || walk.row_begin + i * walk.row_step < walk.row_end;",
        ],
    );
}
