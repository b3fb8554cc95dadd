"""A process that holds llama.cpp and one model: `llama_worker.py FILE.gguf THREADS`.

It answers each line of JSON on stdin with a line of JSON: {"ids": [...], "new": n}
writes n greedy tokens after the ids and gives {"tokens", "prefill", "decode"}, in
seconds, and with "logits" a path it feeds the ids one by one behind the first 32
instead and saves the logits of each there.
"""

import json
import sys
import time

import numpy as np
from llama_cpp import Llama

ROOM = 2304
PREFILL = 32


def open_model(path: str, threads: int) -> Llama:
    """The model with 512 tokens at a time in prefill and logits of the last token only."""
    return Llama(
        path,
        n_ctx=ROOM,
        n_batch=2048,
        n_ubatch=512,
        n_threads=threads,
        n_threads_batch=threads,
        flash_attn=True,  # what llama.cpp itself would choose
        verbose=False,
    )


def last_logits(model: Llama) -> np.ndarray:
    """The scores after the last token, read where llama.cpp keeps them."""
    pointer = model._ctx.get_logits_ith(-1)
    return np.ctypeslib.as_array(pointer, shape=(model.n_vocab(),))


def write_tokens(model: Llama, ids: list[int], new: int) -> dict:
    """The greedy continuation, and how long its first token and all others took."""
    model.reset()
    times, tokens, given = [time.perf_counter()], [], ids
    for _ in range(new):
        model.eval(given)
        tokens.append(int(last_logits(model).argmax()))
        given = tokens[-1:]
        times.append(time.perf_counter())
    first = times[1]
    return {"tokens": tokens, "prefill": first - times[0], "decode": times[-1] - first}


def save_logits(model: Llama, ids: list[int], path: str) -> dict:
    """Logits after the first 32 ids and after each that follows, saved as an array."""
    model.reset()
    rows = []
    for given in [ids[:PREFILL], *([token] for token in ids[PREFILL:])]:
        model.eval(given)
        rows.append(last_logits(model).copy())
    np.save(path, np.stack(rows))
    return {"saved": path}


def main() -> None:
    model = open_model(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "logits" in asked:
            answer = save_logits(model, asked["ids"], asked["logits"])
        else:
            answer = write_tokens(model, asked["ids"], asked["new"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
