#!/usr/bin/env python3
"""Times PyTorch's batch norm on the CPU or CUDA at the shapes of wgnorm's benchmark."""

import sys
from pathlib import Path

# This file bears the name of the package that it measures, and Python looks beside a script first.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

import argparse
import json
import platform
import statistics
import time

import torch

SHAPES = [
    (32, 64, 56, 56),
    (32, 256, 14, 14),
    (64, 512, 7, 7),
    (8, 3, 256, 256),
    (16, 1, 512, 512),
    (64, 50, 13, 13),
    (256, 1024),
    (65536, 32),
    (8192, 50),
]
LAYOUTS = {
    "channels_first": torch.contiguous_format,
    "channels_last": torch.channels_last,
}
# Calls that are not counted: cudnn tries its algorithms in the first ones.
WARM_UPS = 5
# No row is decided by fewer, however slow it is.
FEWEST_SAMPLES = 3
# A row that has taken this many seconds has enough samples.
BUDGET = 20.0


class Case:
    """A layer, its input and the gradient of its output, at one shape in one layout."""

    def __init__(self, device, shape, layout):
        norm_class = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
        self.norm = norm_class(shape[1], device=device)
        generator = torch.Generator().manual_seed(1)

        def values():
            tensor = torch.randn(shape, generator=generator).to(device)
            return tensor.contiguous(memory_format=LAYOUTS[layout])

        self.x = values().requires_grad_()
        self.dy = values()

    def forward(self, _):
        """The training forward: running statistics moved and what backward needs kept."""
        return self.norm(self.x)

    def inference(self, _):
        with torch.inference_mode():
            return self.norm(self.x)

    def backward(self, y):
        """Backward alone, of a forward that ran before the clock started."""
        return torch.autograd.grad(y, (self.x, self.norm.weight, self.norm.bias), self.dy)

    def prepare(self, op):
        """Puts the layer in the mode of `op` and returns what makes its input anew."""
        self.norm.train(op != "inference")
        return (lambda: self.norm(self.x)) if op == "backward" else (lambda: None)


def measure(case, op, samples, wait):
    """Returns the nanoseconds of each of the counted calls of `op`."""
    prepare, run = case.prepare(op), getattr(case, op)

    def once():
        prepared = prepare()
        wait()
        start = time.perf_counter_ns()
        result = run(prepared)
        wait()
        # The result is still held here, so that freeing its memory is not in the time.
        taken = time.perf_counter_ns() - start
        del result
        return taken

    for _ in range(WARM_UPS):
        once()
    begun = time.monotonic()
    taken = []
    fewest = min(FEWEST_SAMPLES, samples)
    while len(taken) < samples and (len(taken) < fewest or time.monotonic() - begun < BUDGET):
        taken.append(once())
    return taken


def row(op, shape, layout, samples):
    median = round(statistics.median(samples))
    return {
        "suite": "targets",
        "norm": "batch",
        "op": op,
        "shape": list(shape),
        "layout": layout,
        "dtype": "f32",
        "strategy": "torch",
        "wall_ns": median,
        "median_ns": median,
        "samples_ns": samples,
    }


def cpu_name():
    """The processor's name where the system gives it: Python's own is empty on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe(device):
    """The JSON without its rows."""
    report = {"program": f"torch {torch.__version__}", "threads": torch.get_num_threads()}
    if device == "cuda":
        cudnn = torch.backends.cudnn.version()
        driver = f"CUDA {torch.version.cuda}, cuDNN {cudnn}"
        adapter, device_type = torch.cuda.get_device_name(), "discrete_gpu"
    else:
        driver = f"ATen {torch.backends.cpu.get_cpu_capability()}"
        adapter, device_type = cpu_name(), "cpu"
    return report | {
        "adapter": adapter,
        "backend": device,
        "driver": driver,
        "device_type": device_type,
        "rows": [],
    }


def parse_arguments():
    def positive(text):
        number = int(text)
        if number < 1:
            raise argparse.ArgumentTypeError("has to be positive")
        return number

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--layout", choices=(*LAYOUTS, "all"), default="all")
    parser.add_argument("--filter", default="", help="only rows whose name contains this text")
    parser.add_argument(
        "--samples",
        type=positive,
        default=9,
        help="timed calls per row; slow rows stop earlier, never below 3",
    )
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    torch.backends.cudnn.benchmark = True
    wait = torch.cuda.synchronize if arguments.device == "cuda" else lambda: None
    report = describe(arguments.device)
    print(f"{report['program']} on {report['adapter']} ({report['driver']})")
    for shape in SHAPES:
        # Without inner dimensions the two layouts are the same.
        layouts = LAYOUTS if len(shape) == 4 else ["channels_first"]
        for layout in layouts:
            if arguments.layout in (layout, "all"):
                add_rows(report["rows"], shape, layout, arguments, wait)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def add_rows(rows, shape, layout, arguments, wait):
    """Measures the operations at one shape that the filter lets through."""
    dimensions = "x".join(map(str, shape))
    names = {op: f"{op} {dimensions} {layout}" for op in ("forward", "inference", "backward")}
    chosen = {op: name for op, name in names.items() if arguments.filter in name}
    if not chosen:
        return
    case = Case(arguments.device, shape, layout)
    for op, name in chosen.items():
        rows.append(row(op, shape, layout, measure(case, op, arguments.samples, wait)))
        milliseconds = rows[-1]["wall_ns"] / 1e6
        print(f"{name:44} {milliseconds:10.3f} ms", flush=True)


if __name__ == "__main__":
    main()
