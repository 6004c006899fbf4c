//! What the manifest says of a shader.

use std::collections::BTreeMap;

use naga::{ArraySize, Module, Scalar, ScalarKind, TypeInner};
use serde::Serialize;
use wgnorm::shaders::{Access, Shader};

use crate::Result;

#[derive(Serialize)]
pub(crate) struct Manifest {
    wgnorm: &'static str,
    shaders: Vec<Variant>,
}

impl Manifest {
    pub(crate) fn of(shaders: Vec<Variant>) -> Self {
        Self {
            wgnorm: env!("CARGO_PKG_VERSION"),
            shaders,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variant {
    file: String,
    entry_point: &'static str,
    bindings: Vec<Binding>,
    /// Values of override constants that go together; WORKGROUP is the workgroup's size.
    sizes: Vec<BTreeMap<&'static str, f64>>,
    /// The override constant for switches, of which any may be on together.
    switches: Option<Switches>,
    needs: Vec<&'static str>,
}

#[derive(Serialize)]
struct Binding {
    #[serde(rename = "binding")]
    number: u32,
    name: String,
    /// As WebGPU calls it.
    r#type: &'static str,
    wgsl: String,
    /// The size of a uniform block.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u32>,
}

#[derive(Serialize)]
struct Switches {
    constant: &'static str,
    bits: BTreeMap<&'static str, u32>,
}

impl Variant {
    pub(crate) fn new(file: &str, shader: &Shader) -> Result<Self> {
        let needs = [
            (shader.needs_int64, "int64"),
            (shader.needs_subgroups, "subgroups"),
            (shader.needs_subgroup_barrier, "subgroup-barrier"),
        ];
        let switches = shader.switches.clone();
        Ok(Self {
            file: file.to_owned(),
            entry_point: shader.kernel,
            bindings: bindings(shader)?,
            sizes: shader
                .sizes
                .iter()
                .cloned()
                .map(BTreeMap::from_iter)
                .collect(),
            switches: switches.map(|(constant, bits)| Switches {
                constant,
                bits: bits.into_iter().collect(),
            }),
            needs: needs
                .iter()
                .filter(|need| need.0)
                .map(|need| need.1)
                .collect(),
        })
    }
}

/// The bindings with the types that the text declares.
fn bindings(shader: &Shader) -> Result<Vec<Binding>> {
    let module = naga::front::wgsl::parse_str(&shader.source)?;
    let mut bindings = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(place) = variable.binding else {
            continue;
        };
        let host = shader.bindings.iter().find(|b| b.number == place.binding);
        let inner = &module.types[variable.ty].inner;
        bindings.push(Binding {
            number: place.binding,
            name: variable.name.clone().unwrap_or_default(),
            r#type: match host.map(|host| host.access) {
                None => "uniform",
                Some(Access::Read) => "read-only-storage",
                Some(Access::ReadWrite) => "storage",
            },
            wgsl: wgsl(&module, inner),
            bytes: host.is_none().then(|| inner.size(module.to_ctx())),
        });
    }
    bindings.sort_by_key(|binding| binding.number);
    Ok(bindings)
}

fn wgsl(module: &Module, inner: &TypeInner) -> String {
    match inner {
        TypeInner::Scalar(scalar) => scalar_name(*scalar),
        TypeInner::Vector { size, scalar } => {
            format!("vec{}<{}>", *size as u32, scalar_name(*scalar))
        }
        TypeInner::Array { base, size, .. } => {
            let base = wgsl(module, &module.types[*base].inner);
            match size {
                ArraySize::Constant(size) => format!("array<{base}, {size}>"),
                _ => format!("array<{base}>"),
            }
        }
        TypeInner::Struct { .. } => "Params".to_owned(),
        other => format!("{other:?}"),
    }
}

fn scalar_name(scalar: Scalar) -> String {
    let kind = match scalar.kind {
        ScalarKind::Uint => 'u',
        ScalarKind::Sint => 'i',
        _ => 'f',
    };
    format!("{kind}{}", 8 * scalar.width)
}
