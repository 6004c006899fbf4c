//! The statistics that a forward used, on the host.

use super::functional::{self, SavedStatistics};
use super::layer::Saved;
use super::pieces::SavedPieces;
use crate::Result;
use crate::gpu::Device;

impl Saved {
    /// Downloads the statistics that the forward used; waits for the GPU.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn statistics(&self, device: &Device) -> Result<SavedStatistics> {
        Ok(functional::statistics(
            &device.download(&self.state)?,
            self.count,
        ))
    }

    /// [`statistics`](Self::statistics) for where nobody may block.
    pub async fn statistics_async(&self, device: &Device) -> Result<SavedStatistics> {
        Ok(functional::statistics(
            &device.download_async(&self.state).await?,
            self.count,
        ))
    }
}

impl SavedPieces {
    /// Downloads the statistics of all pieces together; waits for the GPU.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn statistics(&self, device: &Device) -> Result<SavedStatistics> {
        let state: Vec<f32> = device.download(&self.state)?;
        Ok(functional::statistics(&state, self.count))
    }

    /// [`statistics`](Self::statistics) for where nobody may block.
    pub async fn statistics_async(&self, device: &Device) -> Result<SavedStatistics> {
        let state: Vec<f32> = device.download_async(&self.state).await?;
        Ok(functional::statistics(&state, self.count))
    }
}
