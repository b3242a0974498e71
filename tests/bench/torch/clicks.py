"""The DLRM of criteo1tb: one table in four parts, an inner product of every pair of vectors, two perceptrons."""
import torch
from torch import nn
import torch.nn.functional as F

ROWS, WIDTH, DENSE, SPARSE = 4194304, 128, 13, 26


class Dlrm(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        table = torch.empty(ROWS, WIDTH).uniform_(0, ROWS ** -0.5)
        self.sparse = sparse
        self.chunks = nn.ParameterList(nn.Parameter(part.clone()) for part in table.chunk(4)) if not sparse else None
        self.table = nn.Embedding(ROWS, WIDTH, sparse=True, _weight=table) if sparse else None
        mlp = lambda widths, last: nn.Sequential(*[m for i, o in zip(widths, widths[1:]) for m in (nn.Linear(i, o), nn.ReLU(inplace=True))][: -1 if last else None])
        self.bottom = mlp([DENSE, 512, 256, WIDTH], False)
        self.top = mlp([WIDTH + (SPARSE + 1) * (SPARSE + 2) // 2, 1024, 1024, 512, 256, 1], True)
        self.register_buffer("pairs", torch.triu_indices(SPARSE + 1, SPARSE + 1), persistent=False)

    def forward(self, x):
        d, ids = self.bottom(x[:, :DENSE]), x[:, DENSE:].to(torch.int32) % ROWS
        e = self.table(ids) if self.sparse else F.embedding(ids, torch.cat(list(self.chunks)))
        vectors = torch.cat([d[:, None], e], 1)
        gram = torch.bmm(vectors, vectors.transpose(1, 2))
        return self.top(torch.cat([d, gram[:, self.pairs[0], self.pairs[1]]], 1))


def criteo1tb(batch, memory, sparse=False):
    """Ids by a power law, as categories are: half of the places fall on a few thousand rows."""
    dense, ids = torch.rand(batch, DENSE), (ROWS * torch.rand(batch, SPARSE) ** 8).floor()
    x, y, model = torch.cat([dense, ids], 1), torch.randint(2, (batch, 1)).float(), Dlrm(sparse)
    return model, lambda: F.binary_cross_entropy_with_logits(model(x), y)


CASES = {"criteo1tb": criteo1tb}
