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
if (!dir || flags.some((flag) => !/^--(every=[1-9]\d*|from=\d+|backend=\w+|no-shaders|no-cases)$/.test(flag))) {
  console.error('usage: node check.mjs DIR [--every=N [--from=K]] [--backend=NAME] [--no-shaders] [--no-cases]');
  process.exit(2);
}
const option = (name) => flags.find((flag) => flag.startsWith(`--${name}=`))?.split('=')[1];
const [every, from] = [Number(option('every') ?? 1), Number(option('from') ?? 0)];
const json = async (name) => JSON.parse(await readFile(path.join(dir, name), 'utf8'));

const { device, adapter } = await openDevice(option('backend'));
console.error(`on ${adapter}`);
const manifest = await json('manifest.json');
const taken = (list) => list.filter((_, i) => i % every === from);
const shaders = flags.includes('--no-shaders') ? [] : taken(manifest.shaders);
const summary = { adapter, ...(await compileAll(option('backend'), dir, shaders)) };
if (!flags.includes('--no-cases') && existsSync(path.join(dir, 'cases.json'))) {
  const bytes = await open(path.join(dir, 'cases.bin'));
  Object.assign(summary, await replayAll(device, dir, taken(await json('cases.json')), bytes));
  await bytes.close();
}
console.log(JSON.stringify(summary));
// Dawn's threads would keep the process.
process.exit(summary.errors || summary.different ? 1 : 0);
