// Results of two compilers on one driver. Sums are added up in one order by both, so all bits may be
// equal, and on SwiftShader they are; where they are not, the outputs have to be as near to each other as
// the crate's bounds let two right results be.

// The relative L2 distance that outputs may have: some roundings of f32, and of the 16-bit type one.
const BOUND = { f32: 2e-6, f16: 1e-3, bf16: 8e-3, u32: 0 };

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const word = new DataView(new ArrayBuffer(4));
function brain(bits) {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

function valuesOf(bytes, { dtype, offset, elements }) {
  const at = (Type) => new Type(bytes.buffer, bytes.byteOffset + offset, elements);
  switch (dtype) {
    case 'f32': return Float64Array.from(at(Float32Array));
    case 'u32': return Float64Array.from(at(Uint32Array));
    case 'f16': return Float64Array.from(at(Uint16Array), half);
    default: return Float64Array.from(at(Uint16Array), brain);
  }
}

// The distance between two outputs, relative to the wanted one; NaN in the same places counts as equal.
function distance(got, wanted) {
  let [difference, size] = [0, 0];
  for (const [i, value] of wanted.entries()) {
    if (Number.isNaN(value) && Number.isNaN(got[i])) continue;
    difference += (got[i] - value) ** 2;
    size += value ** 2;
  }
  if (difference === 0) return 0;
  return Math.sqrt(difference / Math.max(size, Number.MIN_VALUE));
}

export function compare(one, results) {
  const same = results.every(({ got, wanted }) => Buffer.compare(got, wanted) === 0);
  const worst = {};
  const wrong = [];
  for (const output of one.outputs) {
    const { got, wanted } = results[output.buffer];
    const error = distance(valuesOf(got, output), valuesOf(wanted, output));
    worst[output.dtype] = Math.max(worst[output.dtype] ?? 0, error);
    if (!(error <= BOUND[output.dtype])) {
      wrong.push(`${output.name} is ${error} away, more than ${BOUND[output.dtype]}`);
    }
  }
  return { same, worst, wrong };
}
