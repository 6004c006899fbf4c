//! The WGSL that runs, as text: for whoever audits it, compiles it ahead, or runs it elsewhere.
//!
//! The crate links each kernel from snippets for what it is to do: the element type, how it lies in
//! memory, which tensors share a buffer, how the device adds up. [`all`] gives every text that can come
//! of that, and none that cannot. `cargo run --example shaders -- DIR` writes them with a manifest.
//!
//! ```
//! let shaders = wgnorm::shaders::all();
//! let portable = shaders.filter(|shader| !shader.needs_int64 && !shader.needs_subgroups);
//! for shader in portable.take(3) {
//!     println!("{}: {} bytes", shader.kernel, shader.source.len());
//! }
//! ```

pub use crate::gpu::{Access, Binding, Bound, Dispatched};
pub use crate::kernels::{Shader, all};
