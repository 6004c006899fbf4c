"""Writes the state files of tests/state and tests/gpu/state.rs: a small network of PyTorch's norms.

Usage, from anywhere, in an environment with torch, numpy and safetensors:

    python make_state.py [FOLDER]

FOLDER is this script's own by default. The network trains for three steps, then its whole state_dict,
convolution included, is saved once as it is and once in each other type that checkpoints come in:
torch_f32, torch_f16, torch_bf16 and torch_f64. torch_f32 also holds what the norms make of an input in
evaluation mode: `probe.<norm>.x` and `probe.<norm>.y`.

    python make_state.py --check FILE

has PyTorch load the file that the tests leave in the target folder, target/tmp/state.safetensors, into
the same network: it must hold all of its tensors but the convolution's, and no other.
"""

import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        block = nn.Module()
        block.bn1 = nn.BatchNorm2d(4, momentum=None)
        block.gn = nn.GroupNorm(2, 4)
        self.layer1 = nn.Sequential(block)
        self.instance = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
        self.bare = nn.BatchNorm2d(4, affine=False)
        self.ln = nn.LayerNorm([4, 5])
        self.rms = nn.RMSNorm(5)

    def norms(self):
        return {name: m for name, m in self.named_modules() if "Norm" in type(m).__name__}

    def forward(self, x):
        x = self.conv1(x)
        for norm in self.norms().values():
            # Channels differ in mean and spread, so that no two can be confused.
            x = norm(x) * (0.5 + torch.rand(4, 1, 1)) + torch.randn(4, 1, 1)
        return x


def train(network):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        x = 2.0 + 3.0 * torch.randn(6, 3, 6, 7)
        (network(x) * torch.randn(6, 4, 4, 5)).mean().backward()
        optimizer.step()


def probes(network):
    found = {}
    for name, norm in network.eval().norms().items():
        x = 1.0 + 2.0 * torch.randn(2, 4, 4, 5)
        found[f"probe.{name}.x"] = x
        found[f"probe.{name}.y"] = norm.double()(x.double()).float().detach()
        norm.float()
    return found


def main():
    if sys.argv[1:2] == ["--check"]:
        tensors = load_file(sys.argv[2])
        missing, unexpected = Network().load_state_dict(tensors, strict=False)
        assert not unexpected and missing == ["conv1.weight"], (missing, unexpected)
        print("as PyTorch would have written it")
        return
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__)
    if folder.is_file():
        folder = folder.parent
    torch.manual_seed(1)
    network = Network()
    for norm in network.norms().values():
        for parameter in norm.parameters():
            nn.init.normal_(parameter, mean=1.0, std=0.5)
    train(network)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = probes(network)
    types = dict(f32=torch.float32, f16=torch.float16, bf16=torch.bfloat16, f64=torch.float64)
    for name, dtype in types.items():
        tensors = {k: t.to(dtype) if t.is_floating_point() else t for k, t in state.items()}
        if name == "f32":
            tensors |= found
        save_file(tensors, folder / f"torch_{name}.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
