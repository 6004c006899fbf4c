// Copies x to y. The host half, copy.rs, says what T is by a line before these.
// The grid is folded to two dimensions, since one of them holds 65,535 groups.

override WORKGROUP: u32 = 256;
// Elements that a group of copy_blocks copies: a multiple of 4 * WORKGROUP.
override BLOCK: u32 = 1024;

@group(0) @binding(0) var<storage, read> x: array<T>;
@group(0) @binding(1) var<storage, read_write> y: array<T>;

// The copy that anyone would write: one element per invocation.
@compute @workgroup_size(WORKGROUP)
fn copy_one(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * WORKGROUP + lane;
    if i < arrayLength(&y) {
        y[i] = x[i];
    }
}

// One block of neighbouring elements per group, four loads in flight.
@compute @workgroup_size(WORKGROUP)
fn copy_blocks(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let len = arrayLength(&y);
    let start = (group.y * groups.x + group.x) * BLOCK;
    // The folded grid may have groups behind the end.
    if start >= len {
        return;
    }
    let end = min(start + BLOCK, len);
    var i = start + lane;
    for (; i + 3u * WORKGROUP < end; i += 4u * WORKGROUP) {
        let a = x[i];
        let b = x[i + WORKGROUP];
        let c = x[i + 2u * WORKGROUP];
        let d = x[i + 3u * WORKGROUP];
        y[i] = a;
        y[i + WORKGROUP] = b;
        y[i + 2u * WORKGROUP] = c;
        y[i + 3u * WORKGROUP] = d;
    }
    for (; i < end; i += WORKGROUP) {
        y[i] = x[i];
    }
}
