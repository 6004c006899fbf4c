// The shape of a workgroup and its place in a grid that is folded at 65,535 groups.
override WORKGROUP: u32 = 256u;

fn group_index(id: vec3<u32>) -> u32 {
    return id.y * params.grid_width + id.x;
}
