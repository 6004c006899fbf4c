"""Writes the golden files of tests/reference.rs: batch normalization by PyTorch in float64.

Usage, from anywhere, in an environment with torch, numpy and safetensors:

    python make_golden.py [FOLDER]

FOLDER is this script's own by default. One file holds one case, a layer that sees one batch or
several in a row. The tensors that belong to the layer have plain names, those that belong to batch
number i have the prefix `i.`:

    gamma, beta                   where the layer has them
    running_mean, running_var     before the first batch, where the layer has them
    i.x, i.dy                     the input and the gradient of its output
    i.y, i.dx, i.dgamma, i.dbeta  what came out, the last two where the layer has gamma and beta
    i.mean, i.rstd                training only: the statistics that normalized the batch
    i.running_mean, i.running_var after the batch, where the layer has them

The metadata entry `case` reads like `mode=train axis=1 eps=1e-05 momentum=0.1`: axis is the
dimension that holds the channels, momentum the weight of the new batch or `cumulative`. It is one
entry because safetensors writes several in random order, and a second run should give the same
bytes, which it does with the same version of PyTorch on the same kind of processor.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file


class AnyRank(torch.nn.modules.batchnorm._BatchNorm):
    """BatchNorm1d, 2d and 3d are this class with a check of the rank, which ends at 5."""

    def _check_input_dim(self, x):
        pass


CASES = {
    "nc": dict(shape=(7, 5)),
    "nc_pairs": dict(shape=(2, 6), affine="gamma beta"),
    "ncl_beta": dict(shape=(4, 6, 9), affine="beta", eps=1e-12),
    "nchw_running": dict(shape=(4, 3, 5, 5), affine="gamma beta", momentum=0.1, batches=3),
    "nchw_slow_average": dict(shape=(3, 2, 3, 3), momentum=0.01, batches=3),
    "nchw_offset": dict(shape=(4, 3, 4, 4), affine="gamma beta", offset=100.0),
    "ncdhw_gamma": dict(shape=(2, 3, 2, 3, 4), affine="gamma", eps=1e-3),
    "nhwc_cumulative": dict(
        shape=(3, 4, 5, 6), axis=3, affine="gamma beta", momentum=None, batches=3
    ),
    "channels_first_of_all": dict(shape=(6, 4, 5), axis=0, affine="gamma beta", eps=0.1),
    "channels_in_the_middle": dict(shape=(2, 3, 4, 2, 3), axis=2, affine="gamma beta"),
    "rank_6": dict(shape=(2, 3, 2, 2, 3, 2), affine="gamma beta", momentum=0.5),
    "eval_nchw": dict(mode="eval", shape=(2, 3, 4, 4), affine="gamma beta", momentum=0.1),
    "eval_nhwc": dict(mode="eval", shape=(2, 4, 4, 5), axis=3, momentum=0.1, eps=1e-3),
    "eval_one_sample": dict(mode="eval", shape=(1, 8), affine="gamma", momentum=0.1),
}


def make_layer(channels, affine, eps, momentum, running):
    layer = AnyRank(channels, eps, momentum, affine=False, track_running_stats=running)
    if "gamma" in affine:
        layer.weight = torch.nn.Parameter(1.0 + torch.randn(channels))
    if "beta" in affine:
        layer.bias = torch.nn.Parameter(torch.randn(channels))
    if running:
        layer.running_mean.copy_(torch.randn(channels))
        layer.running_var.copy_(0.5 + torch.rand(channels))
    return layer


def state(layer):
    tensors = dict(
        gamma=layer.weight,
        beta=layer.bias,
        running_mean=layer.running_mean,
        running_var=layer.running_var,
    )
    return {name: t.detach().clone() for name, t in tensors.items() if t is not None}


def one_batch(layer, x, dy, axis):
    """Runs x and dy, whose channels lie along `axis`, through a layer that wants them along 1."""
    x.requires_grad_()
    layer.zero_grad()
    y = layer(x.movedim(axis, 1)).movedim(1, axis)
    y.backward(dy)
    out = dict(x=x, dy=dy, y=y, dx=x.grad)
    if layer.weight is not None:
        out["dgamma"] = layer.weight.grad
    if layer.bias is not None:
        out["dbeta"] = layer.bias.grad
    if layer.training:
        _, out["mean"], out["rstd"] = torch.native_batch_norm(
            x.movedim(axis, 1), None, None, None, None, True, 0.0, layer.eps
        )
    for name, tensor in state(layer).items():
        if name.startswith("running"):
            out[name] = tensor
    # Copied at once, since the layer goes on working in place.
    return {name: tensor.detach().clone() for name, tensor in out.items()}


def make_case(shape, mode="train", axis=1, affine="", eps=1e-5, offset=0.0, batches=1, **momentum):
    channels = shape[axis]
    # A momentum, None included, asks for running statistics.
    running = "momentum" in momentum
    momentum = momentum.get("momentum", 0.1)
    layer = make_layer(channels, affine, eps, momentum, running)
    layer.train(mode == "train")
    tensors = state(layer)
    along_axis = [1] * len(shape)
    along_axis[axis] = channels
    for batch in range(batches):
        # Channels differ in mean and spread, so that no two can be confused.
        spread = (0.5 + torch.rand(channels)).reshape(along_axis)
        center = (offset + torch.randn(channels)).reshape(along_axis)
        x = center + spread * torch.randn(shape)
        dy = torch.randn(shape)
        for name, tensor in one_batch(layer, x, dy, axis).items():
            tensors[f"{batch}.{name}"] = tensor
    momentum = "cumulative" if momentum is None else momentum
    metadata = {"case": f"mode={mode} axis={axis} eps={eps} momentum={momentum}"}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, metadata


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__)
    if folder.is_file():
        folder = folder.parent
    torch.set_default_dtype(torch.float64)
    for seed, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        tensors, metadata = make_case(**case)
        save_file(tensors, folder / f"{name}.safetensors", metadata)


if __name__ == "__main__":
    main()
