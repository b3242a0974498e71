"""ResNet, ViT and U-Net of the image workloads, in channels_last memory format (PyTorch's faster one on CPUs)."""
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


def case(make, shape, classes):
    def build(batch, memory):
        x = torch.randn(batch, *shape).contiguous(memory_format=memory)
        y = torch.randint(classes, (batch,)) if classes else torch.randn(batch, *shape).contiguous(memory_format=memory)
        loss = F.cross_entropy if classes else F.l1_loss
        model = make().to(memory_format=memory)
        return model, lambda: loss(model(x), y)
    return build


CASES = {
    "cifar": case(lambda: ResNet([2, 2, 2, 2], False, False, 10), (3, 32, 32), 10),
    "imagenet_resnet": case(lambda: ResNet([3, 4, 6, 3], True, True, 1000), (3, 224, 224), 1000),
    "imagenet_vit": case(ViT, (3, 224, 224), 1000),
    "fastmri": case(UNet, (1, 320, 320), None),
}
