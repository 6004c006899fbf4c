// Cases on Dawn: the same dispatches on the same bytes, compared with what the crate's results were.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { compiled, layoutOf } from './device.mjs';
import { compare } from './compare.mjs';

const USAGE = () =>
  GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

export async function replayAll(device, dir, cases, bytes) {
  const pipelines = new Map();
  const counts = { cases: 0, dispatches: 0, sameBits: 0, worst: {}, different: 0 };
  for (const one of cases) {
    counts.cases += 1;
    if (counts.cases % 50 === 0) console.error(`${counts.cases} cases`);
    counts.dispatches += one.dispatches.length;
    try {
      const verdict = await replay(device, dir, one, bytes, pipelines);
      counts.sameBits += verdict.same ? 1 : 0;
      for (const [dtype, error] of Object.entries(verdict.worst)) {
        counts.worst[dtype] = Math.max(counts.worst[dtype] ?? 0, error);
      }
      if (verdict.wrong.length) throw new Error(verdict.wrong.join('; '));
    } catch (error) {
      counts.different += 1;
      if (counts.different <= 20) console.error(`${one.name}: ${error.message}`);
    }
  }
  return counts;
}

async function pipelineOf(device, dir, dispatch, pipelines) {
  const key = JSON.stringify([dispatch.file, dispatch.constants]);
  if (!pipelines.has(key)) {
    const source = await readFile(path.join(dir, dispatch.file), 'utf8');
    const { module } = await compiled(device, source);
    const layout = layoutOf(device, [{ binding: 0, type: 'uniform' }, ...dispatch.bindings]);
    const { entryPoint, constants } = dispatch;
    const compute = { module, entryPoint, constants };
    const pipeline = await device.createComputePipelineAsync({ layout: layout.pipeline, compute });
    pipelines.set(key, { pipeline, group: layout.group });
  }
  return pipelines.get(key);
}

async function read(bytes, length, position) {
  const { buffer } = await bytes.read(Buffer.alloc(length), 0, length, position);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
}

async function replay(device, dir, one, bytes, pipelines) {
  device.pushErrorScope('validation');
  const made = [];
  const create = (descriptor) => {
    made.push(device.createBuffer(descriptor));
    return made.at(-1);
  };
  const buffers = [];
  for (const { bytes: size, before } of one.buffers) {
    const buffer = create({ size, usage: USAGE() });
    device.queue.writeBuffer(buffer, 0, await read(bytes, size, before));
    buffers.push(buffer);
  }
  const encoder = device.createCommandEncoder();
  for (const dispatch of one.dispatches) {
    const { pipeline, group } = await pipelineOf(device, dir, dispatch, pipelines);
    const words = new Uint32Array(dispatch.parameters);
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    const uniform = create({ size: words.byteLength, usage });
    device.queue.writeBuffer(uniform, 0, words);
    const entries = dispatch.bindings.map(({ binding, buffer, offset, bytes: size }) => ({
      binding,
      resource: { buffer: buffers[buffer], offset, size },
    }));
    entries.push({ binding: 0, resource: { buffer: uniform } });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: group, entries }));
    pass.dispatchWorkgroups(...dispatch.grid);
    pass.end();
  }
  const readable = one.buffers.map(({ bytes: size }, i) => {
    const copy = create({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    encoder.copyBufferToBuffer(buffers[i], 0, copy, 0, size);
    return copy;
  });
  device.queue.submit([encoder.finish()]);
  const results = [];
  for (const [i, copy] of readable.entries()) {
    await copy.mapAsync(GPUMapMode.READ);
    const got = new Uint8Array(copy.getMappedRange().slice(0));
    results.push({ got, wanted: await read(bytes, got.length, one.buffers[i].after) });
  }
  made.forEach((buffer) => buffer.destroy());
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message);
  return compare(one, results);
}
