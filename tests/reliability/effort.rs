//! How often each check runs.

/// The counts of one run.
#[derive(Debug, PartialEq, serde::Serialize)]
pub(crate) struct Effort {
    /// Random cases against float64.
    pub(crate) random: u64,
    /// The flavours among them.
    pub(crate) flavours: u64,
    /// Cases whose results have to be exact.
    pub(crate) exact: u64,
    /// Cases that run again on another device.
    pub(crate) reruns: u64,
    /// Cases with NaN or infinity in one channel.
    pub(crate) isolations: u64,
    /// Steps of an exponential moving average.
    pub(crate) ema_steps: u64,
    /// Plans of random shapes.
    pub(crate) plans: u64,
    /// Runs of each kind of fault.
    pub(crate) faults: u64,
    /// Operations of each of 8 threads.
    pub(crate) thread_ops: u64,
    /// Steps of each soak.
    pub(crate) soak_steps: u64,
    /// Of how many shaders one is compiled, and with how many sets of override values.
    pub(crate) shader_step: usize,
    pub(crate) overrides: usize,
}

impl Effort {
    /// What is promised.
    pub(crate) const FULL: Self = Self {
        random: 10_000,
        flavours: 250,
        exact: 1_000,
        reruns: 1_000,
        isolations: 200,
        ema_steps: 10_000,
        plans: 10_000_000,
        faults: 50,
        thread_ops: 500,
        soak_steps: 10_000,
        shader_step: 1,
        overrides: 2,
    };

    /// What the ordinary suite has time for.
    pub(crate) const BRIEF: Self = Self {
        random: 60,
        flavours: 15,
        exact: 20,
        reruns: 30,
        isolations: 60,
        ema_steps: 1_000,
        plans: 100_000,
        faults: 2,
        thread_ops: 20,
        soak_steps: 300,
        shader_step: 41,
        overrides: 1,
    };
}
