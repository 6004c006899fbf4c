// Compiles every shader of a manifest with Dawn and replays cases on it, dispatch by dispatch: see the
// README beside this file. Prints a summary as one line of JSON; exit code 1 where anything is wrong.
import { readFile, open } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { compileAll } from './compile.mjs';
import { openDevice } from './device.mjs';
import { replayAll } from './replay.mjs';

const [dir, ...flags] = process.argv.slice(2);
if (!dir || flags.some((flag) => !/^--(every=[1-9]\d*|no-cases)$/.test(flag))) {
  console.error('usage: node check.mjs DIR [--every=N] [--no-cases]');
  process.exit(2);
}
const every = Number(flags.find((flag) => flag.startsWith('--every='))?.slice(8) ?? 1);
const json = async (name) => JSON.parse(await readFile(path.join(dir, name), 'utf8'));

const { device, adapter } = await openDevice();
console.error(`on ${adapter}`);
const manifest = await json('manifest.json');
const shaders = manifest.shaders.filter((_, i) => i % every === 0);
const summary = { adapter, ...(await compileAll(device, dir, shaders)) };
if (!flags.includes('--no-cases') && existsSync(path.join(dir, 'cases.json'))) {
  const bytes = await open(path.join(dir, 'cases.bin'));
  Object.assign(summary, await replayAll(device, dir, await json('cases.json'), bytes));
  await bytes.close();
}
console.log(JSON.stringify(summary));
// Dawn's threads would keep the process.
process.exit(summary.errors || summary.different ? 1 : 0);
