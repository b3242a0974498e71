"""The Transformer of wmt on packed rows, and the language model of finewebedu_lm. Attention by
scaled_dot_product_attention, PyTorch's fused form; without dropout, like point 1 of nadamw."""
import math
import torch
from torch import nn
import torch.nn.functional as F


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, heads, **options):
    y = F.scaled_dot_product_attention(heads_of(q, heads), heads_of(k, heads), heads_of(v, heads), **options)
    return y.transpose(1, 2).flatten(2)


# ---- wmt

VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH = 32000, 1024, 16, 6, 256


class Layer(nn.Module):
    def __init__(self, decoder):
        super().__init__()
        plain = lambda out: nn.Linear(WIDTH, out, bias=False)
        self.qkv, self.out = plain(3 * WIDTH), plain(WIDTH)
        self.cross = nn.ModuleList([plain(WIDTH), plain(2 * WIDTH), plain(WIDTH)]) if decoder else None
        self.w1, self.w2 = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, 1e-6) for _ in range(3 if decoder else 2))

    def forward(self, x, mask, memory=None, cross_mask=None):
        x = x + self.out(attend(*self.qkv(self.norms[0](x)).chunk(3, -1), HEADS, attn_mask=mask))
        if self.cross:
            q, kv, out = self.cross
            x = x + out(attend(q(self.norms[1](x)), *kv(memory).chunk(2, -1), HEADS, attn_mask=cross_mask))
        return x + self.w2(F.relu(self.w1(self.norms[-1](x)), inplace=True))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.encoder, self.decoder = (nn.ModuleList(Layer(d) for _ in range(LAYERS)) for d in (False, True))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH, 1e-6) for _ in range(2))
        h = WIDTH // 2
        angle = torch.arange(LENGTH)[:, None] * torch.exp(torch.arange(h) * (-math.log(10000) / (h - 1)))
        self.register_buffer("position", torch.cat([angle.sin(), angle.cos()], 1), persistent=False)

    def forward(self, source, target, source_segment, target_segment, source_position, target_position):
        same = lambda a, b: (a[:, :, None] == b[:, None, :]) & (a > 0)[:, :, None] & (b > 0)[:, None, :]
        bias = lambda allowed: torch.where(allowed, 0.0, -1e10)[:, None]
        causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
        mask, self_mask, cross_mask = bias(same(source_segment, source_segment)), bias(same(target_segment, target_segment) & causal), bias(same(target_segment, source_segment))
        x = self.embedding(source) + self.position[source_position]
        for layer in self.encoder: x = layer(x, mask)
        memory = self.norms[0](x)
        x = self.embedding(F.pad(target, (1, -1))) + self.position[target_position]
        for layer in self.decoder: x = layer(x, self_mask, memory, cross_mask)
        return F.linear(self.norms[1](x) * WIDTH ** -0.5, self.embedding.weight)


def packed(batch):
    """Rows of sentences of 16 to 48 tokens, as many as fit: tokens, segments and positions, 0 on padding."""
    token, segment, position = (torch.zeros(batch, LENGTH, dtype=torch.int64) for _ in range(3))
    for row in range(batch):
        at, index = 0, 1
        while at + (n := int(torch.randint(16, 49, ()))) <= LENGTH:
            token[row, at : at + n] = torch.randint(3, VOCABULARY, (n,))
            segment[row, at : at + n], position[row, at : at + n] = index, torch.arange(n)
            at, index = at + n, index + 1
    return token, segment, position


def wmt(batch, memory):
    model, (s, t) = Transformer(), (packed(batch), packed(batch))
    weights = (t[0] > 0).float()

    def loss():
        z = model(s[0], t[0], s[1], t[1], s[2], t[2])
        return (F.cross_entropy(z.flatten(0, 1), t[0].flatten(), reduction="none", label_smoothing=0.1) * weights.flatten()).sum() / weights.sum()
    return model, loss


# ---- finewebedu_lm

LM_VOCABULARY, LM_WIDTH, LM_HEADS, LM_LAYERS, LM_HIDDEN, WINDOW = 50257, 1024, 8, 12, 4096, 1024


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        plain = lambda i, o: nn.Linear(i, o, bias=False)
        self.scale = nn.Parameter(torch.tensor(math.log2(WINDOW ** 2 - WINDOW)))
        self.qkv, self.out = plain(LM_WIDTH, 3 * LM_WIDTH), plain(LM_WIDTH, LM_WIDTH)
        self.fc1, self.fc2 = plain(LM_WIDTH, 2 * LM_HIDDEN), plain(LM_HIDDEN, LM_WIDTH)
        self.norms = nn.ModuleList(nn.RMSNorm(LM_WIDTH, 1e-6) for _ in range(2))

    def forward(self, x, cos, sin):
        def turned(u):
            a, b = heads_of(u, LM_HEADS).unflatten(-1, (-1, 2)).unbind(-1)
            u = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
            return u / u.norm(dim=-1, keepdim=True) + 1e-6
        q, k, v = self.qkv(self.norms[0](x)).chunk(3, -1)
        y = F.scaled_dot_product_attention(turned(q) * self.scale, turned(k), heads_of(v, LM_HEADS), is_causal=True, scale=1.0)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        u, g = self.fc1(self.norms[1](x)).chunk(2, -1)
        return x + self.fc2(u * torch.sigmoid(g))


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(LM_VOCABULARY, LM_WIDTH)
        nn.init.normal_(self.embedding.weight, 0, 0.02)
        self.blocks, self.norm = nn.ModuleList(Block() for _ in range(LM_LAYERS)), nn.RMSNorm(LM_WIDTH, 1e-6)
        d = LM_WIDTH // LM_HEADS
        angle = torch.arange(WINDOW)[:, None] * 500000.0 ** (-torch.arange(0, d, 2) / d)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x):
        x = self.embedding(x)
        for block in self.blocks: x = block(x, self.cos, self.sin)
        return F.linear(self.norm(x), self.embedding.weight)


def finewebedu_lm(batch, memory):
    model, stream = LanguageModel(), torch.randint(LM_VOCABULARY, (batch, WINDOW + 1))
    x, y = stream[:, :-1].contiguous(), stream[:, 1:].flatten()
    return model, lambda: F.cross_entropy(model(x).flatten(0, 1), y, label_smoothing=0.1)


CASES = {"wmt": wmt, "finewebedu_lm": finewebedu_lm}
