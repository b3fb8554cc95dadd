import torch
from grades import accepts, rejects
from torch.nn.utils.rnn import pad_sequence

from companion import position_ids_from_mask
from companion.exercises import check_batch, check_next_tokens, check_position_ids


def padded(encoded, pad, side=lambda ids, fill: fill + ids):
    longest = max(map(len, encoded))
    rows = [side(list(ids), [pad] * (longest - len(ids))) for ids in encoded]
    ones = [side([1] * len(ids), [0] * (longest - len(ids))) for ids in encoded]
    return torch.tensor(rows), torch.tensor(ones)


def by_columns(encoded, pad):
    longest = max(map(len, encoded))
    input_ids = torch.full((len(encoded), longest), pad)
    mask = torch.zeros(len(encoded), longest, dtype=torch.bool)
    for row, ids in enumerate(encoded):
        input_ids[row, longest - len(ids) :] = torch.tensor(ids)
        mask[row, longest - len(ids) :] = True
    return input_ids, mask


def by_torch(encoded, pad):
    def flipped(rows, fill):
        tensors = [torch.tensor(row[::-1]) for row in rows]
        return pad_sequence(tensors, batch_first=True, padding_value=fill).flip(1)

    return flipped(encoded, pad), flipped([[1] * len(ids) for ids in encoded], 0)


def on_the_right(encoded, pad):
    return padded(encoded, pad, lambda ids, fill: ids + fill)


def mask_by_id(encoded, pad):
    input_ids, _ = padded(encoded, pad)
    return input_ids, (input_ids != pad).long()


test_accepts_batch = accepts(check_batch, padded, by_columns, by_torch)

test_rejects_batch = rejects(
    check_batch,
    (on_the_right, "three prompts: the padding is on the right"),
    (mask_by_id, "hides a token of the prompt because its id"),
    (lambda e, p: (padded(e, p)[0], 1 - padded(e, p)[1]), "not the reverse"),
    (lambda e, p: (padded(e, p)[0], on_the_right(e, p)[1]), "attention_mask is"),
    (lambda e, p: (padded(e, 0)[0], padded(e, p)[1]), "input_ids are"),
    (lambda e, p: (padded(e, p)[0], padded(e, p)[1].float()), "integers"),
    (lambda e, p: padded(e, p)[0], "two tensors"),
)  # fmt: skip


def by_counting(mask):
    rows = []
    for row in mask.tolist():
        rows.append([sum(row[:column]) for column in range(len(row))])
    return torch.tensor(rows)


def columns(mask):
    return torch.arange(mask.shape[1]).expand(mask.shape)


test_accepts_positions = accepts(
    check_position_ids,
    position_ids_from_mask,
    by_counting,
    lambda mask: mask.cumsum(-1) - 1,
    lambda mask: (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1),
)

test_rejects_positions = rejects(
    check_position_ids,
    (columns, "padding on the left: the padding is counted"),
    (lambda mask: mask.cumsum(-1), "at position 0, not at 1"),
    (lambda mask: columns(mask) - (mask == 0).sum(-1, keepdim=True), "on the right"),
    (lambda mask: mask.cumsum(-1)[0], "has shape"),
    (lambda mask: mask.cumsum(-1) - 1.0, "torch.float32"),
)  # fmt: skip


def row_by_row(logits, mask):
    tokens = []
    for row, real in zip(logits, mask, strict=True):
        tokens.append(row[real.nonzero().max()].argmax())
    return torch.stack(tokens)


def by_flipping(logits, mask):
    last = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
    return logits[torch.arange(len(mask)), last].argmax(dim=-1)


def by_gathering(logits, mask):
    last = (mask * torch.arange(mask.shape[1])).amax(dim=1)
    return logits.argmax(dim=-1).gather(1, last[:, None])[:, 0]


def by_length(logits, mask):
    return logits[torch.arange(len(mask)), mask.sum(1) - 1].argmax(-1)


test_accepts_next = accepts(check_next_tokens, row_by_row, by_flipping, by_gathering)

test_rejects_next = rejects(
    check_next_tokens,
    (lambda logits, mask: logits[:, -1].argmax(-1), "last column is padding"),
    (by_length, "on the left: as many real tokens"),
    (lambda logits, mask: logits[:, 0].argmax(-1), "the tokens are"),
    (lambda logits, mask: logits.argmax(-1), "has shape"),
)  # fmt: skip
