"""Writes the golden files in `family`: batch norm's relatives by PyTorch in float64.

Usage, from anywhere, in an environment with torch, numpy and safetensors:

    python make_family.py [FOLDER]

FOLDER is `family` beside this script by default. One file holds one operation on one input, in the
names of the example `replay`. Inputs have them plain, results after `out.`:

    x, dy, weight, bias              what goes into a norm of activations, the last two where it has
    running_mean, running_var        them, as the running statistics before the batch
    out.y, out.dx                    what comes out of it
    out.dweight, out.dbias           where the norm has weight and bias
    out.running_mean, out.running_var after the batch, where it moves them
    out.mean, out.rstd               the statistics that normalized, where PyTorch tells them
    v, g, dw; out.w, out.dv, out.dg  of weight norm
    weight, u, dw; out.w, out.u, out.v, out.sigma, out.dweight of spectral norm

The metadata entry `case` has the keys of the example, like `op=group_norm eps=1e-05 num_groups=2`.
It is one entry because safetensors writes several in random order, and a second run should give
the same bytes, which it does with the same version of PyTorch on the same kind of processor.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file

F32_EPSILON = torch.finfo(torch.float32).eps

CASES = {
    "layer_norm_last": dict(op="layer_norm", shape=(4, 3, 6), affine="weight bias"),
    "layer_norm_two": dict(
        op="layer_norm", shape=(3, 2, 4, 5), normalized_dims=2, affine="weight", eps=1e-3
    ),
    "layer_norm_all": dict(op="layer_norm", shape=(5, 7), normalized_dims=2, affine="bias"),
    "layer_norm_offset": dict(op="layer_norm", shape=(6, 9), offset=100.0),
    "rms_norm_last": dict(op="rms_norm", shape=(4, 3, 6), affine="weight", eps=F32_EPSILON),
    "rms_norm_two": dict(op="rms_norm", shape=(3, 4, 5), normalized_dims=2, eps=1e-3),
    "group_norm_nchw": dict(op="group_norm", shape=(2, 6, 3, 4), num_groups=3, affine="weight bias"),
    "group_norm_nhwc": dict(
        op="group_norm", shape=(2, 3, 4, 6), channel_axis=3, num_groups=2, affine="weight bias"
    ),
    "group_norm_middle": dict(
        op="group_norm", shape=(2, 3, 4, 5), channel_axis=2, num_groups=2, affine="bias"
    ),
    "group_norm_one": dict(op="group_norm", shape=(3, 4, 5), num_groups=1, affine="weight", eps=0.1),
    "group_norm_nc": dict(op="group_norm", shape=(3, 8), num_groups=4),
    "instance_norm_nchw": dict(op="instance_norm", shape=(3, 4, 3, 3)),
    "instance_norm_running": dict(
        op="instance_norm", shape=(4, 3, 6), affine="weight bias", momentum=0.1
    ),
    "instance_norm_nhwc": dict(
        op="instance_norm", shape=(2, 3, 4, 5), channel_axis=3, affine="weight bias", momentum=0.3
    ),
    "instance_norm_eval": dict(
        op="instance_norm", shape=(3, 4, 5), mode="eval", affine="weight", momentum=0.1
    ),
    "batch_renorm_nchw": dict(
        op="batch_renorm", shape=(4, 5, 3, 3), affine="weight bias", momentum=0.1, r_max=3.0, d_max=5.0
    ),
    "batch_renorm_clipped": dict(
        op="batch_renorm", shape=(8, 6), affine="weight bias", momentum=0.01, r_max=1.2, d_max=0.3
    ),
    "batch_renorm_nhwc": dict(
        op="batch_renorm", shape=(3, 4, 2, 5), channel_axis=3, momentum=0.1, r_max=1.5, d_max=1.0
    ),
    "weight_norm_linear": dict(op="weight_norm", shape=(6, 4)),
    "weight_norm_conv": dict(op="weight_norm", shape=(4, 3, 3, 3)),
    "weight_norm_middle": dict(op="weight_norm", shape=(3, 4, 5), dim=1),
    "spectral_norm_linear": dict(op="spectral_norm", shape=(6, 4)),
    "spectral_norm_conv": dict(op="spectral_norm", shape=(4, 3, 3, 3), power_iterations=15),
    "spectral_norm_transposed": dict(op="spectral_norm", shape=(3, 5, 2, 2), dim=1, power_iterations=2),
    "spectral_norm_eval": dict(op="spectral_norm", shape=(5, 3, 2), mode="eval"),
}


def layer_norm(x, p, shape, eps, normalized_dims=1):
    dims = shape[len(shape) - normalized_dims :]
    y = torch.nn.functional.layer_norm(x, dims, p.get("weight"), p.get("bias"), eps)
    _, mean, rstd = torch.native_layer_norm(x, dims, None, None, eps)
    return y, dict(mean=mean.flatten(), rstd=rstd.flatten())


def rms_norm(x, p, shape, eps, normalized_dims=1):
    dims = shape[len(shape) - normalized_dims :]
    return torch.nn.functional.rms_norm(x, dims, p.get("weight"), eps), {}


def group_norm(x, p, shape, eps, num_groups, channel_axis=1):
    x = x.movedim(channel_axis, 1).contiguous()
    y = torch.nn.functional.group_norm(x, num_groups, p.get("weight"), p.get("bias"), eps)
    inner = x[0, 0].numel()
    _, mean, rstd = torch.native_group_norm(
        x, None, None, x.shape[0], x.shape[1], inner, num_groups, eps
    )
    return y.movedim(1, channel_axis), dict(mean=mean.flatten(), rstd=rstd.flatten())


def instance_norm(x, p, shape, eps, channel_axis=1, mode="train", momentum=0.1):
    # Moved in place, and the inputs have to stay those from before the batch.
    running = {k: p[k].clone() for k in ("running_mean", "running_var") if k in p}
    y = torch.nn.functional.instance_norm(
        x.movedim(channel_axis, 1),
        running.get("running_mean"),
        running.get("running_var"),
        p.get("weight"),
        p.get("bias"),
        mode == "train",
        momentum,
        eps,
    )
    return y.movedim(1, channel_axis), running if mode == "train" else {}


def batch_renorm(x, p, shape, eps, r_max, d_max, channel_axis=1, momentum=0.1):
    """Ioffe 2017, algorithm 1, step by step, for PyTorch has none; autograd differentiates it."""
    x = x.movedim(channel_axis, -1)
    over = tuple(range(x.ndim - 1))
    mean, var = x.mean(over), x.var(over, correction=0)
    sigma_batch, sigma = (var + eps).sqrt(), (p["running_var"] + eps).sqrt()
    r = (sigma_batch / sigma).clamp(1 / r_max, r_max).detach()
    d = ((mean - p["running_mean"]) / sigma).clamp(-d_max, d_max).detach()
    y = (x - mean) / sigma_batch * r + d
    y = y * p.get("weight", 1.0) + p.get("bias", 0.0)
    unbiased = x.var(over, correction=1)
    out = dict(
        mean=mean,
        rstd=1 / sigma_batch,
        running_mean=(1 - momentum) * p["running_mean"] + momentum * mean,
        running_var=(1 - momentum) * p["running_var"] + momentum * unbiased,
    )
    return y.movedim(-1, channel_axis), out


def make_norm(op, shape, affine="", eps=1e-5, offset=0.0, **options):
    axis = options.get("channel_axis", 1)
    parameters = (shape[axis],)
    if op in ("layer_norm", "rms_norm"):
        parameters = shape[len(shape) - options.get("normalized_dims", 1) :]
    # Values differ in mean and spread along every dimension, so that no two parts can be confused.
    x = offset + torch.randn(shape)
    for dim, size in enumerate(shape):
        along = [1] * len(shape)
        along[dim] = size
        x = x * (0.7 + 0.6 * torch.rand(size)).reshape(along) + 0.5 * torch.randn(size).reshape(along)
    p = {}
    if "weight" in affine:
        p["weight"] = 1.0 + torch.randn(parameters)
    if "bias" in affine:
        p["bias"] = torch.randn(parameters)
    if "momentum" in options:
        p["running_mean"] = torch.randn(parameters)
        p["running_var"] = 0.5 + torch.rand(parameters)
    tensors = dict(x=x, dy=torch.randn(shape), **p)
    leaves = {k: t.clone().requires_grad_() for k, t in tensors.items() if k in ("x", "weight", "bias")}
    y, out = globals()[op](leaves["x"], {**p, **leaves}, shape, eps, **options)
    y.backward(tensors["dy"])
    out.update({"y": y}, **{f"d{k}": leaf.grad for k, leaf in leaves.items()})
    return tensors, out, dict(eps=eps, **options)


def make_weight_norm(shape, dim=0):
    v, g, dw = torch.randn(shape), torch.randn(shape[dim]), torch.randn(shape)
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(v.clone())
    torch.nn.utils.parametrizations.weight_norm(module, dim=dim)
    parameters = module.parametrizations.weight
    along = [1] * len(shape)
    along[dim] = shape[dim]
    with torch.no_grad():
        parameters.original0.copy_(g.reshape(along))
        parameters.original1.copy_(v)
    w = module.weight
    w.backward(dw)
    out = dict(w=w, dg=parameters.original0.grad.flatten(), dv=parameters.original1.grad)
    return dict(v=v, g=g, dw=dw), out, dict(dim=dim)


def make_spectral_norm(shape, dim=0, power_iterations=1, mode="train"):
    weight, dw = torch.randn(shape), torch.randn(shape)
    u = torch.nn.functional.normalize(torch.randn(shape[dim]), dim=0)
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(weight.clone())
    # Not the parametrization of the same name, whose iteration needs a v to begin with.
    hook = torch.nn.utils.spectral_norm
    hook(module, n_power_iterations=power_iterations, eps=1e-12, dim=dim)
    module.train(mode == "train")
    matrix = weight.movedim(dim, 0).flatten(1)
    module.weight_u.copy_(u)
    module.weight_v.copy_(torch.nn.functional.normalize(matrix.T @ u, dim=0))
    for before in module._forward_pre_hooks.values():
        before(module, None)
    module.weight.backward(dw)
    out = dict(w=module.weight, dweight=module.weight_orig.grad, u=module.weight_u, v=module.weight_v)
    out["sigma"] = (out["u"] @ matrix @ out["v"]).reshape(1)
    options = dict(dim=dim, power_iterations=power_iterations, mode=mode)
    return dict(weight=weight, u=u, dw=dw), out, options


def main():
    folder = pathlib.Path(__file__).parent / "family"
    if len(sys.argv) > 1:
        folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    torch.set_default_dtype(torch.float64)
    makers = dict(weight_norm=make_weight_norm, spectral_norm=make_spectral_norm)
    for seed, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        case = dict(case)
        op = case["op"]
        if op in makers:
            del case["op"]
        tensors, out, options = makers.get(op, make_norm)(**case)
        tensors.update({f"out.{k}": t for k, t in out.items()})
        words = [f"op={op}"] + [f"{key}={value}" for key, value in options.items()]
        tensors = {k: t.detach().clone().contiguous() for k, t in tensors.items()}
        save_file(tensors, folder / f"{name}.safetensors", {"case": " ".join(words)})


if __name__ == "__main__":
    main()
