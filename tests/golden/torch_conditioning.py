"""Prints the relative L2 error of PyTorch's float32 batch norm against float64 by |mean| / std.

These are the PyTorch figures of the README's accuracy table; the crate's own come from the test
`mean_far_above_the_standard_deviation`. Needs torch; run it as

    python tests/golden/torch_conditioning.py
"""

import torch

SHAPES = [(8, 6, 28, 28), (16, 5, 7, 7), (2, 3, 90, 91), (2000, 8), (500, 50)]


def errors(shape, offset, seed):
    """The errors of y and dx for one shape, as (y, dx)."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randn(shape, generator=generator, dtype=torch.float64) + offset).float()
    dy = (torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5).float()
    results = []
    for dtype in (torch.float64, torch.float32):
        leaf = x.to(dtype).requires_grad_()
        y = torch.nn.functional.batch_norm(leaf, None, None, training=True, eps=1e-5)
        y.backward(dy.to(dtype))
        results.append((y.detach().double(), leaf.grad.double()))
    (exact_y, exact_dx), (y, dx) = results
    return ((y - exact_y).norm() / exact_y.norm()).item(), ((dx - exact_dx).norm() / exact_dx.norm()).item()


print(f"torch {torch.__version__} on the CPU: |mean| / std, worst y, worst dx")
for decade in range(8):
    pairs = [errors(shape, 10.0**decade, seed) for seed, shape in enumerate(SHAPES)]
    print(f"1e{decade}: {max(y for y, _ in pairs):.1e} {max(dx for _, dx in pairs):.1e}")
