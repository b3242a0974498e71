"""The speech models on utterances of 20 s: log-mel front end, SpecAugment, subsampling, then Conformer blocks or LSTM
layers, CTC loss. Frames of padding are masked as published; here there are none. No dropout, like point 1 of nadamw."""
import math
import torch
from torch import nn
import torch.nn.functional as F

SAMPLES, BINS, WIDTH, CLASSES, LABELS = 320000, 80, 512, 1024, 100


class Norm(nn.Module):
    """LayerNorm with a scale around 0."""
    def __init__(self):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.zeros(WIDTH)), nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x): return F.layer_norm(x, (WIDTH,), 1 + self.scale, self.bias, 1e-6)


class MaskedBatchNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.zeros(WIDTH)), nn.Parameter(torch.zeros(WIDTH))
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.register_buffer("var", torch.ones(WIDTH))

    def forward(self, x, valid):
        count = valid.sum()
        mean = (x * valid).sum((0, 1)) / count
        var = ((x - mean).square() * valid).sum((0, 1)) / count
        with torch.no_grad():
            self.mean.lerp_(mean, 0.001)
            self.var.lerp_(var, 0.001)
        return ((1 + self.scale) * (x - mean) * torch.rsqrt(var + 0.001) + self.bias) * valid


class FrontEnd(nn.Module):
    def __init__(self):
        super().__init__()
        mel = lambda f: 1127 * torch.log1p(f / 700)
        bins, edges = mel(torch.arange(1, 257) * 31.25), torch.linspace(float(mel(torch.tensor(125.0))), float(mel(torch.tensor(7600.0))), BINS + 2)
        low, top, high = edges[:-2], edges[1:-1], edges[2:]
        up, down = (bins[:, None] - low) / (top - low), (high - bins[:, None]) / (high - top)
        self.register_buffer("mel", F.pad(torch.minimum(up, down).clamp(min=0), (0, 0, 1, 0)), persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    @torch.no_grad()
    def forward(self, x):
        frames = (x * 2 ** -15).unfold(1, 401, 160)
        y = frames[..., :400].clone()
        y[..., 1:] -= 0.97 * frames[..., :399]
        y[..., 0] *= 0.03
        power = torch.fft.rfft(y * self.window, 512).abs().square()
        y = torch.log((power @ self.mel).clamp(min=1e-5))
        return (y - y.mean((0, 1))) / y.std((0, 1))


def augmented(x):
    """Ten masks of time and two of frequency for each example."""
    def keep(size, count, most, ratio):
        n = torch.minimum((most * torch.rand(len(x), count)).floor(), torch.tensor(max(1.0, ratio * size // 1)))
        start = (torch.rand(len(x), count) * (size - n + 1)).floor()
        at = torch.arange(size)
        return ~((at >= start[..., None]) & (at < (start + n)[..., None])).any(1)
    return x * keep(x.shape[1], 10, 0.05 * x.shape[1], 0.05)[:, :, None] * keep(BINS, 2, 27, 1)[:, None]


class Subsample(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(i, WIDTH, 3, 2) for i in (1, WIDTH))
        self.linear = nn.Linear(BINS // 4 * WIDTH, WIDTH)

    def forward(self, x, valid, memory):
        x = x[:, None].contiguous(memory_format=memory)
        for conv in self.convs:
            odd = [n % 2 for n in x.shape[2:]]
            valid = valid[:, ::2]
            x = F.relu(conv(F.pad(x, (odd[1], 1, odd[0], 1))), inplace=True) * valid[:, None, :, None]
        return self.linear(x.permute(0, 2, 3, 1).flatten(2)), valid[..., None]


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = Norm(), nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x, valid): return self.down(F.silu(self.up(self.norm(x))) * valid) * valid


class Attention(nn.Module):
    def __init__(self, heads=8):
        super().__init__()
        self.heads, self.norm, self.qkv, self.out = heads, Norm(), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.scale = nn.Parameter(torch.zeros(WIDTH // heads))

    def forward(self, x, valid):
        q, k, v = (u.unflatten(-1, (self.heads, -1)).transpose(1, 2) for u in self.qkv(self.norm(x)).chunk(3, -1))
        mask = torch.where(valid[:, None, None, :, 0] > 0, 0.0, -torch.inf)
        y = F.scaled_dot_product_attention(q * (1.442695041 * F.softplus(self.scale)), k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2))


class Convolution(nn.Module):
    def __init__(self, kernel=5):
        super().__init__()
        lin = lambda: nn.Linear(WIDTH, WIDTH)
        self.norm, self.a, self.b, self.last, self.bn = Norm(), lin(), lin(), lin(), MaskedBatchNorm()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, kernel, padding=kernel // 2, groups=WIDTH, bias=False)

    def forward(self, x, valid):
        x = self.norm(x)
        x = self.depthwise((self.a(x) * torch.sigmoid(self.b(x)) * valid).transpose(1, 2)).transpose(1, 2)
        return self.last(F.silu(self.bn(x, valid)))


class Speech(nn.Module):
    def __init__(self):
        super().__init__()
        self.front, self.subsample, self.norm, self.last = FrontEnd(), Subsample(), Norm(), nn.Linear(WIDTH, CLASSES)

    def enter(self, x, memory):
        x = augmented(self.front(x))
        return self.subsample(x, torch.ones(x.shape[:2]), memory)


class Conformer(Speech):
    def __init__(self, blocks=4):
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleList([FeedForward(), Attention(), Convolution(), FeedForward(), Norm()]) for _ in range(blocks))
        h = WIDTH // 2
        angle = torch.arange(500)[:, None] * torch.exp(torch.arange(h) * (-math.log(10000) / (h - 1)))
        self.register_buffer("position", torch.cat([angle.sin(), angle.cos()], 1), persistent=False)

    def forward(self, x, memory):
        x, valid = self.enter(x, memory)
        x = x + self.position
        for ff1, attention, convolution, ff2, norm in self.blocks:
            x = x + 0.5 * ff1(x, valid)
            x = x + attention(x, valid)
            x = x + convolution(x, valid)
            x = norm(x + 0.5 * ff2(x, valid))
        return self.last(self.norm(x)), valid


class DeepSpeech(Speech):
    def __init__(self, lstms=6, ffns=3):
        super().__init__()
        self.lstms = nn.ModuleList(nn.ModuleList([MaskedBatchNorm(), nn.LSTM(WIDTH, WIDTH // 2, batch_first=True, bidirectional=True)]) for _ in range(lstms))
        self.ffns = nn.ModuleList(nn.ModuleList([MaskedBatchNorm(), nn.Linear(WIDTH, WIDTH)]) for _ in range(ffns))

    def forward(self, x, memory):
        x, valid = self.enter(x, memory)
        lengths = valid.sum((1, 2)).long()
        for norm, lstm in self.lstms:
            y, _ = lstm(nn.utils.rnn.pack_padded_sequence(norm(x, valid), lengths, batch_first=True, enforce_sorted=False))
            x = x + nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0]
        for norm, linear in self.ffns: x = x + F.relu(linear(norm(x, valid))) * valid
        return self.last(self.norm(x)), valid


def case(make):
    def build(batch, memory):
        model, sound = make().to(memory_format=memory), (3000 * torch.randn(batch, SAMPLES)).round()
        labels, lengths = torch.randint(1, CLASSES, (batch, LABELS)), torch.full((batch,), LABELS)

        def loss():
            z, valid = model(sound, memory)
            nll = F.ctc_loss(z.log_softmax(-1).transpose(0, 1), labels, valid.sum((1, 2)).long(), lengths, reduction="none")
            return nll.sum() / lengths.sum()
        return model, loss
    return build


CASES = {"librispeech_conformer": case(Conformer), "librispeech_deepspeech": case(DeepSpeech)}
