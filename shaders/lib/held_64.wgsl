// Words of its slot that one lane of a resident kernel holds in registers, at the most. A constant, since
// an array of a function cannot have another size.
const HELD: u32 = 64u;
