#!/usr/bin/env python3
"""The peer of `algoperf bench step`: the same model, batch and precision, one thread, in PyTorch on the CPU.

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
    /tmp/torch/bin/python tests/bench/torch/step.py imagenet_resnet --batch 32 --steps 5

Forward, backward and a NAdamW step on random inputs; the number of parameters must be that of the published model. Without
data loading and, like point 1 of nadamw, without dropout. tests/bench/pair.sh measures both sides in turn."""
import argparse, csv, importlib, math, pathlib, statistics, time
import torch

HERE = pathlib.Path(__file__).parent
FAMILIES = ["image", "graph", "clicks", "text", "speech"]  # one file each


def published_parameters(workload):
    """From the published shapes of all parameters."""
    with open(HERE.parents[1] / "fixtures" / "param_shapes.csv") as rows:
        return sum(math.prod(int(n) for n in row["shape"].split("x") if n != "-") for row in csv.DictReader(rows) if row["workload"] == workload)


def optimizers_of(model, name):
    """nadam: the rule of nadamw, over everything. adamw: PyTorch's fused AdamW, a cheaper rule. sparse: NAdamW, and SparseAdam,
    which updates only rows that were looked up, for the table."""
    tables = [q for n, q in model.named_parameters() if n.startswith("table")] if name == "sparse" else []
    rest = [q for q in model.parameters() if all(q is not t for t in tables)]
    if name == "adamw": return [torch.optim.AdamW(rest, lr=1e-3, fused=True)]
    nadam = torch.optim.NAdam(rest, lr=1e-3, decoupled_weight_decay=True, foreach=False)
    return [nadam] + ([torch.optim.SparseAdam(tables, lr=1e-3)] if tables else [])


def main():
    cases = {name: case for family in FAMILIES for name, case in importlib.import_module(family).CASES.items()}
    p = argparse.ArgumentParser()
    p.add_argument("workload", choices=cases)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--contiguous", action="store_true", help="images as NCHW instead of channels_last, which is faster on most CPUs")
    p.add_argument("--optimizer", choices=["nadam", "adamw", "sparse"], default="nadam", help="adamw: fused; sparse: rows of criteo1tb's table")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    memory = torch.contiguous_format if a.contiguous else torch.channels_last
    model, loss_of = cases[a.workload](a.batch, memory, *([True] if a.optimizer == "sparse" else []))
    parameters, published = sum(q.numel() for q in model.parameters() if q.requires_grad), published_parameters(a.workload)
    assert parameters == published, f"{a.workload}: {parameters} parameters, the published model has {published}"
    optimizers = optimizers_of(model, a.optimizer)
    times, first = [], None
    for step in range(a.steps + 1):  # the first warms up
        t0 = time.process_time()
        for o in optimizers: o.zero_grad(set_to_none=True)
        loss = loss_of()
        t1 = time.process_time()
        loss.backward()
        t2 = time.process_time()
        for o in optimizers: o.step()
        t3 = time.process_time()
        first = loss.item() if first is None else first
        if step: times.append((t1 - t0, t2 - t1, t3 - t2, t3 - t0))
    f, b, u, s = (statistics.median(t) for t in zip(*times))
    print(f"{a.workload} batch {a.batch} torch {torch.__version__} {'NCHW' if a.contiguous else 'channels_last'} {a.optimizer} one thread: "
          f"{parameters} parameters; loss {first:.4f} -> {loss.item():.4f}; "
          f"forward {f * 1e3:.0f} ms, backward {b * 1e3:.0f} ms, update {u * 1e3:.0f} ms, step {s * 1e3:.0f} ms (median CPU time of {a.steps})")


if __name__ == "__main__":
    main()
