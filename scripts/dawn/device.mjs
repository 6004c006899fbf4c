// The device: that of any adapter, with subgroups where it has them.
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);

// Dawn answers for as long as somebody holds this.
let gpu;

// On the named backend of Dawn, or on whatever it finds.
export async function openDevice(backend) {
  gpu ??= create(backend ? [`backend=${backend}`] : []);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('no adapter: point VK_DRIVER_FILES at a Vulkan driver');
  const requiredFeatures = ['subgroups'].filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredFeatures });
  // An error that no scope catches is one of this script's.
  device.onuncapturederror = (event) => {
    console.error(`uncaptured: ${event.error.message}`);
    process.exitCode = 1;
  };
  const { vendor, architecture, description } = adapter.info;
  return { device, adapter: [vendor, architecture, description].filter(Boolean).join(' ') };
}

// Runs `create` in error scopes and gives what it makes, or throws what went wrong.
export async function scoped(device, create) {
  for (const kind of ['out-of-memory', 'internal', 'validation']) device.pushErrorScope(kind);
  const made = await create();
  const errors = [];
  for (let i = 0; i < 3; i++) errors.push(await device.popErrorScope());
  const error = errors.find(Boolean);
  if (error) throw new Error(error.message);
  return made;
}

// What naga takes for granted has to be asked for here.
export function enabled(source) {
  return source.includes('subgroupAdd(') ? `enable subgroups;\n${source}` : source;
}

// A module, or the messages of the compiler as an error.
export async function compiled(device, source) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: enabled(source) });
  const { messages } = await module.getCompilationInfo();
  const error = await device.popErrorScope();
  const wrong = messages.filter((message) => message.type === 'error');
  if (wrong.length || error) {
    const lines = wrong.map((m) => `${m.lineNum}:${m.linePos}: ${m.message}`);
    throw new Error(lines.join('\n') || error.message);
  }
  return { module, warnings: messages.filter((message) => message.type === 'warning') };
}

// The layout of declared bindings, which the crate makes explicitly too.
export function layoutOf(device, bindings) {
  const entries = bindings.map(({ binding, type }) => ({
    binding,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type },
  }));
  const group = device.createBindGroupLayout({ entries });
  return { group, pipeline: device.createPipelineLayout({ bindGroupLayouts: [group] }) };
}
