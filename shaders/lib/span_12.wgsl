// Words of a row that one lane of split columns owns. A GPU takes 1; a software driver as many as
// make a row one contiguous run. A constant, since an array of a function cannot have another size.
const SPAN: u32 = 12u;
