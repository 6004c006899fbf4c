"""Measures PyTorch's batch norm in float32 where the mean is far above the standard deviation.

python3 tests/reliability/conditioning_torch.py > tests/reliability/conditioning_torch.json

Values of the same distribution and in the same shape as conditioning.rs draws, on the CPU, against float64 on
the same float32 values. The reliability test draws the figures beside its own.
"""

import json
import platform

import torch

SHAPE = (16, 8, 28, 28)


def y_l2(decade: int) -> float:
    generator = torch.Generator().manual_seed(decade)
    channels = SHAPE[1]
    per_channel = (1, channels, 1, 1)
    std = 0.5 + 1.5 * torch.rand(channels, generator=generator, dtype=torch.float64)
    sign = torch.where(torch.rand(channels, generator=generator) < 0.5, -1.0, 1.0).double()
    normal = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    x = (std.view(per_channel) * (normal + 10.0**decade * sign.view(per_channel))).float()
    gamma = torch.rand(channels, generator=generator) + 0.5
    beta = torch.rand(channels, generator=generator) - 0.5

    got = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)
    # By hand, so that nothing of what is measured measures.
    wide = x.double()
    mean = wide.mean((0, 2, 3), keepdim=True)
    var = ((wide - mean) ** 2).mean((0, 2, 3), keepdim=True)
    want = (wide - mean) / (var + 1e-5).sqrt()
    want = want * gamma.double().view(per_channel) + beta.double().view(per_channel)
    return ((got.double() - want).norm() / want.norm()).item()


def main() -> None:
    figures = {
        "version": torch.__version__,
        "device": f"cpu, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "shape": SHAPE,
        "y_l2": [float(f"{y_l2(decade):.3g}") for decade in range(8)],
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
