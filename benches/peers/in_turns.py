#!/usr/bin/env python3
"""Lets Burn and this crate take turns, shape by shape, since a machine that others share is not the same for long.

`benches/peers/in_turns.py OUT.json [ROUNDS [SHAPE...]]` runs both from the project's root so many times (3) for each
shape, writes the middle one of Burn's times to OUT.json, which `cargo bench -- --peer` takes, with `by_ours`: the
middle of Burn's wall time by ours in the same round. It prints that as a table.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, median_low

ROOT = Path(__file__).resolve().parent.parent.parent
BURN = ROOT / "benches" / "peers" / "burn"
SHAPES = "32x64x56x56 32x256x14x14 64x512x7x7 8x3x256x256 16x1x512x512 64x50x13x13 256x1024 65536x32 8192x50".split()
OPS = ["inference", "forward", "backward"]


def rows(command, folder):
    """What the command measures, by operation, and the file without its rows."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows.json"
        subprocess.run([*command, "--json", str(file)], cwd=folder, check=True, capture_output=True)
        found = json.loads(file.read_text())
    return {row["op"]: row for row in found.pop("rows")}, found


def turn(shape):
    named = "".join(map("".join, zip("nchw", shape.split("x"))))
    burn, head = rows(["cargo", "run", "--release", "--locked", "--", "--filter", shape], BURN)
    ours, _ = rows(["cargo", "bench", "--", "--shape", named, "--layout", "channels_first"], ROOT)
    return burn, ours, head


def middle(turns, op):
    """Burn's row of the middle round, and how much longer it takes than ours."""
    walls = [burn[op]["wall_ns"] for burn, _, _ in turns]
    row = turns[walls.index(median_low(walls))][0][op]
    quotients = [burn[op]["wall_ns"] / ours[op]["wall_ns"] for burn, ours, _ in turns]
    return {**row, "by_ours": round(median(quotients), 2)}


def cell(row):
    return f"{row['by_ours']:.2g}{'*' if 'wrong' in row else ''}"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rounds, shapes = int((sys.argv[2:3] or ["3"])[0]), sys.argv[3:] or SHAPES
    written = []
    print("| shape | inference | forward | backward |\n|---|---|---|---|")
    for shape in shapes:
        turns = [turn(shape) for _ in range(rounds)]
        found = [middle(turns, op) for op in OPS]
        written += found
        print(f"| {shape} | {' | '.join(map(cell, found))} |", flush=True)
        Path(sys.argv[1]).write_text(json.dumps({**turns[0][2], "rows": written}, indent=1) + "\n")


main()
