// All that the invocations of a workgroup that is one subgroup wrote to shared memory can be read by all
// of them. Linked instead of barrier_workgroup.wgsl for software drivers whose subgroups are just as wide
// as the planner's workgroups: lavapipe keeps every variable of a loop that follows a workgroup's barrier
// in memory, which costs its hot loops 15 to 20 % (measured).
fn sync() {
    subgroupBarrier();
}
