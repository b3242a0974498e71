#!/usr/bin/env python3
"""The peer of `algoperf bench step`: the same model, batch and precision, one thread, in PyTorch on the CPU.

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch
    /tmp/torch/bin/python tests/bench/torch_step.py imagenet_resnet --batch 32 --steps 5
    build/release/src/cli/algoperf bench step imagenet_resnet --scale full --batch 32 --shards 1 --steps 5

Forward, backward and an Adam step (NAdamW of torch.optim) on random inputs in channels_last memory format, which is PyTorch's
faster one on CPUs (--contiguous for the other). Without data loading. ogbg: graphs of 26 nodes and 56 edges, a shard of
the published batch at a time (--batch 64), padded as published, without dropout, like point 1 of nadamw."""
import argparse, statistics, time
import torch
from torch import nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, cin, width, stride, bottleneck):
        super().__init__()
        cout = width * (4 if bottleneck else 1)
        conv = lambda i, o, k, s: nn.Conv2d(i, o, k, s, k // 2, bias=False)
        shapes = [(cin, width, 1, 1), (width, width, 3, stride), (width, cout, 1, 1)] if bottleneck else [(cin, width, 3, stride), (width, cout, 3, 1)]
        self.convs = nn.ModuleList(conv(*s) for s in shapes)
        self.bns = nn.ModuleList(nn.BatchNorm2d(s[1]) for s in shapes)
        nn.init.zeros_(self.bns[-1].weight)
        self.down = nn.Sequential(conv(cin, cout, 1, stride), nn.BatchNorm2d(cout)) if stride != 1 or cin != cout else nn.Identity()

    def forward(self, x):
        h = x
        for i, (c, b) in enumerate(zip(self.convs, self.bns)):
            h = b(c(h))
            if i + 1 < len(self.convs): h = F.relu(h, inplace=True)
        return F.relu(h + self.down(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, layers, bottleneck, large, classes):
        super().__init__()
        self.large = large
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7 if large else 3, 2 if large else 1, 3 if large else 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        blocks, c = [], 64
        for stage, n in enumerate(layers):
            for i in range(n):
                blocks.append(Block(c, 64 << stage, 2 if stage and not i else 1, bottleneck))
                c = (64 << stage) * (4 if bottleneck else 1)
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(c, classes)

    def forward(self, x):
        x = self.stem(x)
        if self.large: x = F.max_pool2d(x, 3, 2, 1)
        return self.fc(self.blocks(x).mean((2, 3)))


class ViT(nn.Module):
    def __init__(self, width=384, depth=12, heads=6, mlp=1536):
        super().__init__()
        self.heads, lin = heads, nn.Linear
        self.patch = nn.Conv2d(3, width, 16, 16)
        self.blocks = nn.ModuleList(nn.ModuleList([nn.LayerNorm(width, 1e-6), lin(width, width), lin(width, width), lin(width, width), lin(width, width),
                                                   nn.LayerNorm(width, 1e-6), lin(width, mlp), lin(mlp, width)]) for _ in range(depth))
        self.norm, self.pre, self.head = nn.LayerNorm(width, 1e-6), lin(width, width), lin(width, 1000)
        self.pos = nn.Parameter(torch.zeros(1, 196, width), requires_grad=False)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.pos
        for n0, q, k, v, o, n1, a, b in self.blocks:
            h = n0(x)
            split = lambda t: t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            x = x + o(F.scaled_dot_product_attention(split(q(h)), split(k(h)), split(v(h))).transpose(1, 2).flatten(2))
            x = x + b(F.gelu(a(n1(x)), approximate="tanh"))
        return self.head(torch.tanh(self.pre(self.norm(x).mean(1))))


class UNet(nn.Module):
    def __init__(self, c=32, pools=4):
        super().__init__()
        norm = lambda o: nn.Sequential(nn.InstanceNorm2d(o), nn.LeakyReLU(0.2, inplace=True))
        block = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, 1, 1, bias=False), norm(o), nn.Conv2d(o, o, 3, 1, 1, bias=False), norm(o))
        self.down = nn.ModuleList(block(1 if i == 0 else c << (i - 1), c << i) for i in range(pools))
        self.middle = block(c << (pools - 1), c << pools)
        self.up = nn.ModuleList(nn.Sequential(nn.ConvTranspose2d(c << (i + 1), c << i, 2, 2, bias=False), norm(c << i)) for i in reversed(range(pools)))
        self.conv = nn.ModuleList(block(c << (i + 1), c << i) for i in reversed(range(pools)))
        self.last = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        saved = []
        for d in self.down:
            saved.append(d(x))
            x = F.avg_pool2d(saved[-1], 2)
        x = self.middle(x)
        for u, c in zip(self.up, self.conv): x = c(torch.cat([u(x), saved.pop()], 1))
        return self.last(x)


class GraphNet(nn.Module):
    """ogbg as its published PyTorch form computes it: rows concatenated, sums by index_add_."""
    def __init__(self, width=256, steps=5, tasks=128):
        super().__init__()
        mlp = lambda i: nn.Sequential(nn.Linear(i, width), nn.LayerNorm(width, 1e-6), nn.ReLU(inplace=True))
        self.node, self.edge, self.decoder, self.tasks = nn.Linear(9, width), nn.Linear(3, width), nn.Linear(width, tasks), tasks
        g = [tasks] + [width] * (steps - 1)
        self.steps = nn.ModuleList(nn.ModuleList([mlp(3 * width + k), mlp(3 * width + k), mlp(2 * width + k)]) for k in g)

    def forward(self, x):
        nodes, edges, senders, receivers, node_graph, edge_graph, count = x
        n, e, g = self.node(nodes), self.edge(edges), nodes.new_zeros(count, self.tasks)
        total = lambda rows, of, k: rows.new_zeros(k, rows.shape[1]).index_add_(0, of, rows)
        for update_edge, update_node, update_global in self.steps:
            e = update_edge(torch.cat([e, n[senders], n[receivers], g[edge_graph]], 1))
            n = update_node(torch.cat([n, total(e, senders, len(nodes)), total(e, receivers, len(nodes)), g[node_graph]], 1))
            g = update_global(torch.cat([total(n, node_graph, count), total(e, edge_graph, count), g], 1))
        return self.decoder(g)


def molecules(count, padded):
    """`count` graphs of 26 nodes and 56 edges; padded: as the published batches are, one more graph and node."""
    rows = torch.arange(count).repeat_interleave
    ends = torch.randint(26, (count * 28, 2)) + 26 * rows(28)[:, None]
    extra = int(padded)
    nodes, edges = torch.randint(8, (count * 26 + extra, 9)).float(), torch.randint(4, (count * 56, 3)).float()
    node_graph = torch.cat([rows(26), torch.full((extra,), count)])
    return nodes, edges, ends.T.reshape(-1), ends.flip(1).T.reshape(-1), node_graph, torch.cat([rows(28)] * 2), count + extra


MODELS = {
    "cifar": (lambda: ResNet([2, 2, 2, 2], False, False, 10), (3, 32, 32), 10),
    "imagenet_resnet": (lambda: ResNet([3, 4, 6, 3], True, True, 1000), (3, 224, 224), 1000),
    "imagenet_vit": (ViT, (3, 224, 224), 1000),
    "fastmri": (UNet, (1, 320, 320), None),
    "ogbg": (GraphNet, None, None),
}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("workload", choices=MODELS)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--contiguous", action="store_true", help="NCHW instead of channels_last")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, shape, classes = MODELS[a.workload]
    memory = torch.contiguous_format if a.contiguous else torch.channels_last
    model = make().to(memory_format=memory)
    if shape is None:
        x = molecules(a.batch, padded=True)
        y = torch.randint(2, (x[-1], 128)).float()
        weights = (torch.rand(x[-1], 128) < 0.6).float()
        loss_of = lambda z, y: (F.binary_cross_entropy_with_logits(z, y, reduction="none") * weights).sum() / weights.sum()
    else:
        x = torch.randn(a.batch, *shape).contiguous(memory_format=memory)
        y = torch.randint(classes, (a.batch,)) if classes else torch.randn(a.batch, *shape).contiguous(memory_format=memory)
        loss_of = F.cross_entropy if classes else F.l1_loss
    optimizer = torch.optim.NAdam(model.parameters(), lr=1e-3, decoupled_weight_decay=True)
    times = []
    for step in range(a.steps + 1):  # the first warms up
        t0 = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model(x), y)
        t1 = time.process_time()
        loss.backward()
        t2 = time.process_time()
        optimizer.step()
        t3 = time.process_time()
        if step: times.append((t1 - t0, t2 - t1, t3 - t2, t3 - t0))
    f, b, u, s = (statistics.median(t) for t in zip(*times))
    print(f"{a.workload} batch {a.batch} torch {torch.__version__} {'NCHW' if a.contiguous else 'channels_last'} one thread: "
          f"{sum(q.numel() for q in model.parameters() if q.requires_grad)} parameters; "
          f"forward {f * 1e3:.0f} ms, backward {b * 1e3:.0f} ms, update {u * 1e3:.0f} ms, step {s * 1e3:.0f} ms (median CPU time of {a.steps})")


if __name__ == "__main__":
    main()
