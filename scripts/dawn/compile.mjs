// Every shader through Dawn's compiler and the driver's.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { compiled, layoutOf, openDevice, scoped } from './device.mjs';

// Dawn keeps what it compiled for as long as there is the device: half a megabyte for each shader.
const SHADERS_OF_A_DEVICE = 500;

// Sums of switches: none, all, and two halves that are others for each shader.
function choices(switches, number) {
  if (!switches) return [{}];
  const bits = Object.values(switches.bits);
  const hash = Math.imul(number, 2654435761);
  const half = (odd) => bits.filter((_, i) => ((hash >>> (i + 8)) & 1) === odd);
  const sets = [[], bits, half(0), half(1)];
  return sets.map((set) => ({ [switches.constant]: set.reduce((sum, bit) => sum + bit, 0) }));
}

// Every size that occurs, each with one of the choices of switches.
function overrides(shader, number) {
  const sets = choices(shader.switches, number);
  return shader.sizes.map((size, i) => ({ ...size, ...sets[(number + i) % sets.length] }));
}

export async function compileAll(backend, dir, shaders) {
  let { device } = await openDevice(backend);
  const counts = { variants: 0, native: 0, pipelines: 0, warnings: 0, errors: 0 };
  const begin = Date.now();
  for (const [number, shader] of shaders.entries()) {
    const needs = (name) => shader.needs.includes(name);
    // No browser has these, and Dawn does not know their words.
    if (needs('int64') || needs('subgroup-barrier')) {
      counts.native += 1;
      continue;
    }
    if (counts.variants % SHADERS_OF_A_DEVICE === SHADERS_OF_A_DEVICE - 1) {
      device.destroy();
      ({ device } = await openDevice(backend));
    }
    counts.variants += 1;
    if (counts.variants % 1000 === 0) {
      console.error(`${counts.variants} shaders, ${Math.round((Date.now() - begin) / 1000)} s`);
    }
    try {
      const source = await readFile(path.join(dir, shader.file), 'utf8');
      const { module, warnings } = await compiled(device, source);
      counts.warnings += warnings.length;
      for (const { lineNum, message } of warnings) {
        if (counts.warnings < 10) console.error(`${shader.file}:${lineNum}: warning: ${message}`);
      }
      const layout = layoutOf(device, shader.bindings).pipeline;
      for (const constants of overrides(shader, number)) {
        const compute = { module, entryPoint: shader.entryPoint, constants };
        await scoped(device, () => device.createComputePipelineAsync({ layout, compute }));
        counts.pipelines += 1;
      }
    } catch (error) {
      counts.errors += 1;
      if (counts.errors <= 20) console.error(`${shader.file}: ${error.message}`);
    }
  }
  device.destroy();
  return counts;
}
