import math

import torch
from grades import accepts, rejects, rejects_each

from companion import explain_matmul
from companion.exercises import (
    check_each_vector,
    check_matmul_flops,
    check_matmul_shape,
)
from companion.exercises.graders.matmul import VECTORS_WRONGLY


def broadcast(a, b):
    rows = a[-2:-1]
    columns = b[-1:] if len(b) > 1 else ()
    return (*torch.broadcast_shapes(a[:-2], b[:-2]), *rows, *columns)


def executed(a, b):
    return torch.matmul(torch.empty(a, device="meta"), torch.empty(b, device="meta"))


test_accepts = accepts(
    check_matmul_shape,
    lambda a, b: explain_matmul(a, b).shape,
    broadcast,
    lambda a, b: executed(a, b).shape,
)

test_rejects = rejects(
    check_matmul_shape,
    (lambda a, b: (*a[:-1], b[-1]), r"has shape \(\)"),
)  # fmt: skip

test_accepts_flops = accepts(
    check_matmul_flops,
    lambda a, b: explain_matmul(a, b).flops,
    lambda a, b: 2 * math.prod(broadcast(a, b)) * a[-1],
    lambda a, b: 2.0 * executed(a, b).numel() * a[-1],
)

test_rejects_flops = rejects(
    check_matmul_flops,
    (lambda a, b: executed(a, b).numel() * a[-1], "a multiplication and an addition"),
    (lambda a, b: 2 * math.prod(a) * (b[-1] if len(b) > 1 else 1), "after broadcasting"),
    (lambda a, b: 2 * math.prod(a) * b[-1], r"\(3,\) @ \(3,\) takes 6 FLOPs"),
)  # fmt: skip

test_accepts_vectors = accepts(
    check_each_vector,
    lambda matrices, vectors: (matrices @ vectors[..., None])[..., 0],
    lambda matrices, vectors: (matrices * vectors[:, None]).sum(-1),
    lambda matrices, vectors: torch.einsum("boi,bi->bo", matrices, vectors),
    lambda matrices, vectors: torch.stack(
        [matrix @ vector for matrix, vector in zip(matrices, vectors, strict=True)]
    ),
)

test_rejects_vectors = rejects(
    check_each_vector,
    (lambda matrices, vectors: matrices @ vectors.T, "has shape"),
    (lambda matrices, vectors: (matrices @ vectors.T)[..., 0], "the first"),
)  # fmt: skip
test_rejects_known_vectors = rejects_each(check_each_vector, VECTORS_WRONGLY)
