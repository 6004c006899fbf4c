fn main() {
    let t = std::time::Instant::now();
    let mut by: std::collections::BTreeMap<&str,(usize,usize,usize,usize)> = Default::default();
    for s in wgnorm::shaders::all() {
        let e = by.entry(s.kernel).or_default();
        e.0 += 1; e.1 += s.source.len(); e.2 += s.sizes.len(); e.3 += usize::from(!s.needs_int64 && !s.needs_subgroup_barrier);
    }
    for (k,v) in &by { println!("{k} {v:?}"); }
    println!("{} {} {} {} {:?}", by.values().map(|v|v.0).sum::<usize>(), by.values().map(|v|v.1).sum::<usize>(), by.values().map(|v|v.2).sum::<usize>(), by.values().map(|v|v.3).sum::<usize>(), t.elapsed());
}
