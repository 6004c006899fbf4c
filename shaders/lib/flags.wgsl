// The switches of one dispatch; the host half is src/kernels/flags.rs. A constant of the pipeline: a
// software driver runs both sides of every branch that it cannot decide when it compiles, and a plain
// inference would carry all the code of a training step.
override FLAGS: u32 = 0u;
const HAS_GAMMA: u32 = 1u;
const HAS_BETA: u32 = 2u;
// Normalize by running_mean and running_var instead of the batch's statistics.
const USE_RUNNING: u32 = 4u;
// Move running_mean, running_var and num_batches_tracked.
const UPDATE_RUNNING: u32 = 8u;
// Weigh every batch so far alike: the weight of this one is 1 / num_batches_tracked.
const CUMULATIVE: u32 = 16u;
// num_batches_tracked is there to be counted.
const HAS_TRACKED: u32 = 32u;
// Leave (K, d, rstd, var) in the state for the backward pass.
const SAVE: u32 = 64u;
// Every slot has one partial only, which needs no merge.
const ONE_PARTIAL: u32 = 1024u;
// Slots stand to statistics and gains as params.fan and params.gains say, see slots.wgsl.
const GROUPED: u32 = 2048u;
// The statistic is the mean of squares: nothing is subtracted.
const NO_MEAN: u32 = 4096u;
// Correct the batch's statistics towards the running ones, see corrections.wgsl.
const CORRECTED: u32 = 8192u;
// A slot is one row of words.
const ONE_ROW: u32 = 16384u;
// Every lane has as many words as it can: HELD of a slot, see rows_held.wgsl and columns_held.wgsl, or SPAN of a
// row, see columns.wgsl.
const FULL: u32 = 2097152u;
// Leave the sums over rows for the gradients of gains that each element of a row has.
const GAIN_SUMS: u32 = 32768u;
// An activation follows the norm: negative values become 0.
const RELU: u32 = 65536u;
// Which elements passed the activation is kept in the state, see tail.wgsl.
const GATED: u32 = 131072u;
const WANT_DRESIDUAL: u32 = 262144u;
// Only some elements are valid, see mask.wgsl.
const MASKED: u32 = 524288u;
// Normalize by what the state has saved already.
const SAVED: u32 = 1048576u;
const WANT_DX: u32 = 128u;
const WANT_DGAMMA: u32 = 256u;
const WANT_DBETA: u32 = 512u;

fn has(flag: u32) -> bool {
    return (FLAGS & flag) != 0u;
}
