// Which statistic and which gain a slot has. `fan` slots side by side have one statistic in common,
// and there are `gains` gains, which begin again after so many slots; where nothing is said of
// either, every slot has its own. Uses flags.wgsl.
fn statistic_of(slot: u32) -> u32 {
    if has(GROUPED) {
        return slot / params.fan;
    }
    return slot;
}

// Whether the slot is the first of those with its statistic.
fn leads(slot: u32) -> bool {
    return !has(GROUPED) || slot % params.fan == 0u;
}

fn gain_of(slot: u32) -> u32 {
    if has(GROUPED) {
        return slot % params.gains;
    }
    return slot;
}
