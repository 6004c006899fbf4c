"""Writes the golden files in `tails`, `half` and `masks`: fused tails, 16-bit storage and masked
batch norm by PyTorch in float64.

Usage, from anywhere, in an environment with torch, numpy and safetensors:

    python make_tails.py [FOLDER]

FOLDER, which gets the three folders, is this script's own by default. A case is two files of the
same name. The one in `tails`, `half` or `masks` is what the example `replay` reads, key by key and
tensor by tensor, so that it can be given to it as it is:

    x, residual, dy              F32, in `half` F16 or BF16
    weight, bias, running_mean, running_var   F32, each where the norm has it
    mask                         U8, x's shape without the channel axis, 1 where x is valid;
                                 x, residual and dy are NaN where it is 0

The one in the folder `expected` below has the results that the example should write, by name and
shape, but in F64, of the same inputs as float64: what comes out before it is rounded to the type of
x. Only `num_batches_tracked` is I64, as it is there.

No value lies so near the kink of relu that float32 could see it on the other side. A second run
gives the same bytes with the same version of PyTorch on the same kind of processor.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save

from make_family import group_norm, instance_norm, layer_norm

TYPES = dict(f32=torch.float32, f16=torch.float16, bf16=torch.bfloat16)

CASES = {
    "tails/batch_relu_nchw": dict(
        op="batch_norm", shape=(3, 4, 3, 5), affine="weight bias", running=True, tail="relu"
    ),
    "tails/batch_relu_residual_nchw": dict(
        op="batch_norm", shape=(2, 3, 7, 3), affine="weight bias", running=True,
        tail="relu residual", momentum=0.3,
    ),
    "tails/batch_relu_residual_nhwc": dict(
        op="batch_norm", shape=(2, 4, 3, 5), affine="weight", tail="relu residual",
        channel_axis=3, eps=1e-3,
    ),
    "tails/batch_residual_nc": dict(op="batch_norm", shape=(9, 5), affine="bias", tail="residual"),
    "tails/batch_eval_relu_nchw": dict(
        op="batch_norm", shape=(2, 3, 4, 5), affine="weight bias", running=True, tail="relu",
        mode="eval",
    ),
    "tails/batch_eval_relu_residual_nhwc": dict(
        op="batch_norm", shape=(2, 3, 3, 7), affine="weight bias", running=True,
        tail="relu residual", mode="eval", channel_axis=3,
    ),
    "tails/layer_relu_residual": dict(
        op="layer_norm", shape=(4, 3, 6), affine="weight bias", tail="relu residual"
    ),
    "tails/group_relu_residual_nchw": dict(
        op="group_norm", shape=(2, 6, 3, 3), affine="weight bias", tail="relu residual", num_groups=3
    ),
    "tails/instance_relu_nhwc": dict(
        op="instance_norm", shape=(2, 3, 4, 5), affine="weight bias", tail="relu", channel_axis=3
    ),
    "half/batch_f16_nchw": dict(
        op="batch_norm", shape=(2, 3, 5, 5), affine="weight bias", running=True, dtype="f16"
    ),
    # The sum of a channel is beyond the largest f16, that of its squares hundreds of times.
    "half/batch_f16_far": dict(
        op="batch_norm", shape=(401, 1), dtype="f16", mean=200.0, std=60.0
    ),
    "half/batch_bf16_relu_residual_nhwc": dict(
        op="batch_norm", shape=(2, 3, 3, 7), affine="weight bias", running=True,
        tail="relu residual", channel_axis=3, dtype="bf16",
    ),
    "half/batch_eval_f16_relu_residual": dict(
        op="batch_norm", shape=(3, 5, 7), affine="weight bias", running=True, tail="relu residual",
        mode="eval", dtype="f16",
    ),
    "half/layer_bf16": dict(op="layer_norm", shape=(5, 7), affine="weight bias", dtype="bf16"),
    "half/group_f16_relu": dict(
        op="group_norm", shape=(3, 4, 3, 3), affine="weight bias", tail="relu", num_groups=2,
        dtype="f16",
    ),
    "half/instance_bf16_relu_residual": dict(
        op="instance_norm", shape=(2, 3, 13), affine="weight bias", tail="relu residual",
        dtype="bf16",
    ),
    "masks/batch_ncl": dict(
        op="batch_norm", shape=(4, 3, 7), affine="weight bias", running=True, masked="lengths"
    ),
    "masks/batch_nlc_relu_residual": dict(
        op="batch_norm", shape=(4, 7, 5), affine="weight bias", running=True,
        tail="relu residual", channel_axis=2, masked="random",
    ),
    "masks/batch_nchw_relu": dict(
        op="batch_norm", shape=(2, 3, 3, 5), affine="weight", tail="relu", masked="random",
        eps=1e-3,
    ),
    "masks/batch_eval_ncl_relu_residual": dict(
        op="batch_norm", shape=(3, 4, 6), affine="weight bias", running=True,
        tail="relu residual", mode="eval", masked="lengths",
    ),
}  # fmt: skip


def batch_norm(x, p, shape, eps, channel_axis=1, mode="train", momentum=0.1):
    # Moved in place, and the inputs have to stay those from before the batch.
    running = {k: p[k].clone() for k in ("running_mean", "running_var") if k in p}
    x = x.movedim(channel_axis, 1)
    y = torch.nn.functional.batch_norm(
        x,
        running.get("running_mean"),
        running.get("running_var"),
        p.get("weight"),
        p.get("bias"),
        mode == "train",
        momentum,
        eps,
    )
    y = y.movedim(1, channel_axis)
    if mode == "eval":
        return y, {}
    _, mean, rstd = torch.native_batch_norm(x, None, None, None, None, True, 0.0, eps)
    return y, dict(mean=mean, rstd=rstd, **running)


def apply_tail(normed, residual, relu):
    """The tail, and how far the nearest value is from the kink of relu."""
    y = normed if residual is None else normed + residual
    return (y.relu() if relu else y), y.abs().min()


def masked_batch_norm(x, p, mask, relu, channel_axis, **options):
    """Each channel by itself, its valid elements taken out by an index and put back by it."""
    x = x.movedim(channel_axis, 0)
    residual = p["residual"].movedim(channel_axis, 0) if "residual" in p else None
    y, out, margins = torch.zeros_like(x), [], []
    per_channel = ("weight", "bias", "running_mean", "running_var")
    for c in range(len(x)):
        of_channel = {k: p[k][c : c + 1] for k in per_channel if k in p}
        values = x[c][mask][:, None]
        normed, out_of_channel = batch_norm(values, of_channel, values.shape, **options)
        valid = None if residual is None else residual[c][mask]
        y[c, mask], margin = apply_tail(normed[:, 0], valid, relu)
        out.append(out_of_channel)
        margins.append(margin)
    out = {k: torch.cat([o[k] for o in out]) for k in out[0]}
    return y.movedim(0, channel_axis), out, min(margins)


def make_mask(kind, shape):
    if kind == "random":
        return torch.rand(shape) < 0.7
    # Sequences of different lengths, one to a sample, the first of them whole and one empty.
    lengths = torch.randint(2, shape[1], shape[:1])
    lengths[0], lengths[-1] = shape[1], 0
    return torch.arange(shape[1]) < lengths[:, None]


def make_inputs(op, shape, affine, running, with_residual, masked, dtype, mean, std, options):
    """All tensors of the case in the types that they are stored in."""
    axis = options.get("channel_axis", 1)
    parameters = shape[-1:] if op == "layer_norm" else (shape[axis],)
    # Values differ in mean and spread along every dimension, so that no two parts can be confused.
    x = torch.randn(shape)
    for dim, size in enumerate(shape):
        along = [1] * len(shape)
        along[dim] = size
        x = x * (0.7 + 0.6 * torch.rand(size)).reshape(along) + 0.5 * torch.randn(size).reshape(along)
    of_x = dict(x=mean + std * x, dy=torch.randn(shape))
    if with_residual:
        of_x["residual"] = torch.randn(shape)
    tensors = {}
    if "weight" in affine:
        tensors["weight"] = 1.0 + torch.randn(parameters)
    if "bias" in affine:
        tensors["bias"] = torch.randn(parameters)
    if running:
        tensors["running_mean"] = torch.randn(parameters)
        tensors["running_var"] = 0.5 + torch.rand(parameters)
    tensors = {k: t.to(torch.float32) for k, t in tensors.items()}
    tensors.update({k: t.to(TYPES[dtype]) for k, t in of_x.items()})
    if masked:
        mask = make_mask(masked, shape[:axis] + shape[axis + 1 :])
        for name in of_x:
            tensors[name].movedim(axis, 0)[:, ~mask] = torch.nan
        tensors["mask"] = mask.to(torch.uint8)
    return tensors


def make_case(op, shape, affine="", running=False, tail="", masked=None, dtype="f32",
              mean=0.0, std=1.0, eps=1e-5, **options):  # fmt: skip
    inputs = make_inputs(
        op, shape, affine, running, "residual" in tail, masked, dtype, mean, std, options
    )
    wide = {k: t.double() for k, t in inputs.items() if k not in ("mask", "dy")}
    leaves = {k: t.requires_grad_() for k, t in wide.items() if not k.startswith("running")}
    relu = "relu" in tail
    if masked:
        axis = options.get("channel_axis", 1)
        mask = inputs["mask"].bool()
        without_axis = {k: v for k, v in options.items() if k != "channel_axis"}
        y, out, margin = masked_batch_norm(
            leaves["x"], wide, mask, relu, axis, eps=eps, **without_axis
        )
    else:
        normed, out = globals()[op](leaves["x"], wide, shape, eps, **options)
        y, margin = apply_tail(normed, leaves.get("residual"), relu)
    assert not relu or (margin > 1e-4 and (y > 0).any() and (y == 0).any())
    y.backward(inputs["dy"].double())
    out.update({"y": y}, **{f"d{k}": leaf.grad for k, leaf in leaves.items()})
    if op in ("layer_norm", "group_norm"):
        # The example tells these of batch norm alone.
        del out["mean"], out["rstd"]
    out = {k: t.detach().double() for k, t in out.items()}
    assert all(t.isfinite().all() for t in out.values())
    if op == "batch_norm" and options.get("mode") != "eval":
        out["num_batches_tracked"] = torch.tensor([1])
    metadata = dict(op=op, eps=eps, **options)
    if relu:
        metadata["activation"] = "relu"
    return inputs, out, {key: str(value) for key, value in metadata.items()}


def write(path, tensors, metadata=None):
    """As safetensors does it, but with sorted metadata, which it writes in random order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: t.detach().clone().contiguous() for k, t in tensors.items()}
    data = save(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    torch.set_default_dtype(torch.float64)
    for seed, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        inputs, out, metadata = make_case(**case)
        path = folder / f"{name}.safetensors"
        write(path, inputs, metadata)
        write(path.parent / "expected" / path.name, out)


if __name__ == "__main__":
    main()
