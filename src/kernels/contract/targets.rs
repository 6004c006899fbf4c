//! A shader on its way to a driver: the text that naga writes of it for Vulkan, Metal and DirectX. The
//! test `reliability` takes every shader there, the contract a sample.

use naga::back::pipeline_constants::process_overrides;
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// What a shader needs beyond what WebGPU has without optional features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    pub(crate) int64: bool,
    pub(crate) subgroups: bool,
}

impl Needs {
    fn any(self) -> bool {
        self.int64 || self.subgroups
    }
}

/// A parsed and validated shader.
pub(crate) struct Parsed {
    pub(crate) module: Module,
    pub(crate) info: ModuleInfo,
}

impl Parsed {
    pub(crate) fn new(source: &str, needs: Needs) -> Result<Self, String> {
        let mut capabilities = Capabilities::empty();
        capabilities.set(Capabilities::SHADER_INT64, needs.int64);
        let subgroups = Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER;
        capabilities.set(subgroups, needs.subgroups);
        let module =
            naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
        let info = Validator::new(ValidationFlags::all(), capabilities)
            .validate(&module)
            .map_err(|error| error.emit_to_string(source))?;
        Ok(Self { module, info })
    }

    /// The shader with values for its override constants.
    pub(crate) fn with(&self, entry: &str, constants: &[(&str, f64)]) -> Result<Self, String> {
        let constants = constants
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        let entry = Some((ShaderStage::Compute, entry));
        let (module, info) = process_overrides(&self.module, &self.info, entry, &constants)
            .map_err(|error| format!("overrides: {error}"))?;
        Ok(Self {
            module: module.into_owned(),
            info: info.into_owned(),
        })
    }

    pub(crate) fn spirv(&self, entry: &str) -> Result<Vec<u32>, String> {
        let options = spv::Options {
            // Subgroups came with this one.
            lang_version: (1, 3),
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            ..spv::Options::default()
        };
        let entry = spv::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: entry.to_owned(),
        };
        match spv::write_vec(&self.module, &self.info, &options, Some(&entry)) {
            Ok(words) if words.is_empty() => Err("SPIR-V: nothing written".into()),
            Ok(words) => Ok(words),
            Err(error) => Err(format!("SPIR-V: {error}")),
        }
    }

    pub(crate) fn metal(&self, entry: &str, needs: Needs) -> Result<String, String> {
        let options = msl::Options {
            lang_version: if needs.any() { (2, 3) } else { (2, 0) },
            zero_initialize_workgroup_memory: false,
            ..msl::Options::default()
        };
        let entry = msl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, entry.to_owned())),
            ..msl::PipelineOptions::default()
        };
        let (text, written) = msl::write_string(&self.module, &self.info, &options, &entry)
            .map_err(|error| format!("Metal: {error}"))?;
        match &written.entry_point_names[..] {
            [Ok(name)] if text.contains(name.as_str()) => Ok(text),
            names => Err(format!("Metal: {names:?}")),
        }
    }

    pub(crate) fn hlsl(&self, entry: &str, needs: Needs) -> Result<String, String> {
        let options = hlsl::Options {
            shader_model: if needs.any() {
                hlsl::ShaderModel::V6_0
            } else {
                hlsl::ShaderModel::V5_1
            },
            zero_initialize_workgroup_memory: false,
            ..hlsl::Options::default()
        };
        let entry = hlsl::PipelineOptions {
            entry_point: Some((ShaderStage::Compute, entry.to_owned())),
        };
        let mut text = String::new();
        let written = hlsl::Writer::new(&mut text, &options, &entry)
            .write(&self.module, &self.info, None)
            .map_err(|error| format!("HLSL: {error}"))?;
        match &written.entry_point_names[..] {
            [Ok(name)] if text.contains(name.as_str()) => Ok(text),
            names => Err(format!("HLSL: {names:?}")),
        }
    }
}
