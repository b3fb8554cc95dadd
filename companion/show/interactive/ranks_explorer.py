"""A model over ranks: what each holds of every matrix, which heads and cache, and what
crosses the wire.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from companion.config import LlamaConfig
from companion.show.figures.svg import Figure
from companion.show.interactive.element import Interactive
from companion.show.interactive.ranks_still import panel
from companion.show.tables import Table, amount, table


def ranks_explorer(
    config: LlamaConfig, caption: str, *, counts: Sequence[int] = (1, 2, 3, 4, 9)
) -> Interactive:
    """A Llama of this config on each of these numbers of ranks, which are started once to
    cut one of its layers; a number that does not divide it is refused in the words of
    `companion.parallel`.

    Raises: ValueError where no number above 1 divides the model.
    Source: Shoeybi et al. 2019, section 3.
    """
    from companion.show.interactive import ranks_recorded as recorded

    refused = recorded.refusals(config, counts)
    taken = [count for count in counts if count not in refused]
    if max(taken, default=1) == 1:
        raise ValueError(
            f"no number of {list(counts)} above 1: {'; '.join(refused.values())}"
        )
    runs = {n: recorded.traced(config, recorded.held(config, n)) for n in taken}
    trace = {
        "heads": [config.num_attention_heads, config.num_key_value_heads],
        "layers": config.num_hidden_layers,
        "steps": list(recorded.STEPS),
        "axes": recorded.AXES,
        "counts": list(counts),
        "lengths": recorded.LENGTHS,
        "refused": refused,
        "runs": runs,
    }
    most = max(taken)
    drawn = [
        panel(each, recorded.AXES[each["name"]], step["exchanges"].get(1), most)
        for step in runs[most]["steps"]
        for each in step["matrices"]
    ]
    alt = f"on {most} ranks: " + "; ".join(words for _, words in drawn)
    still = Figure(tuple(picture for picture, _ in drawn), alt, caption)
    return Interactive("ranks-explorer", trace, still, in_numbers(runs, refused))


def in_numbers(
    runs: Mapping[int, Mapping[str, Any]], refused: Mapping[int, str]
) -> Table:
    """What a rank holds and sends, a row for each number of ranks."""
    rows: list[list[object]] = [
        [
            count,
            amount(run["parameters"]),
            amount(run["weights"], "B"),
            amount(run["cache"], "B"),
            run["query"][0][1],
            run["kv"][0][1],
            run["sums"],
            *(amount(sent, "B") for sent in run["sent"].values()),
        ]
        for count, run in runs.items()
    ]
    rows += [[count, words, *[""] * 7] for count, words in refused.items()]
    sent = [f"sent, {n} token{'s'[: n > 1]}" for n in next(iter(runs.values()))["sent"]]
    head = "ranks", "parameters", "weights", "cache", "query heads", "KV heads", "sums"
    return table((*head, *sent), rows)
