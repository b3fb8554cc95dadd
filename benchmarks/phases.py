"""The phases of benchmarks/generation.py, and what each takes at least."""

from dataclasses import dataclass

from limits import cache_bytes, prefill_flops

from companion import LlamaConfig

NEW = 64
SDPA, COMPILED = "hugging face sdpa", "hugging face compiled"


@dataclass(frozen=True)
class Phase:
    """What the forms do: `new` tokens after a prompt of `length`, timed from the first one
    on, or, where there are none, the first one itself.
    """

    length: int
    rounds: int
    new: int = 0
    batch: int = 1
    once: tuple[str, ...] = ()  # slow forms that no goal needs have one round

    @property
    def count(self) -> int:
        """Tokens that the time is for."""
        return self.batch * (self.new or self.length)

    def wait(self) -> dict[str, object]:
        """What a user waits for: how often in the time, and its name."""
        if self.new:
            return {"steps": self.new, "wait": "time between tokens"}
        return {"steps": 1, "wait": "time to first token"}


PHASES = {
    "decode": Phase(32, 4, NEW),
    "decode_batch_8": Phase(32, 2, NEW, batch=8, once=("companion plain", SDPA)),
    "prefill_512": Phase(512, 5),
    "prefill_2048": Phase(2048, 2, once=("companion plain",)),
}


def phases(family: str) -> dict[str, Phase]:
    """Those that a family takes part in: quantized weights have no goal in a long prefill."""
    left_out = "prefill_2048" if family == "quantized" else None
    return {name: phase for name, phase in PHASES.items() if name != left_out}


def work(phase: Phase, config: LlamaConfig, weights: dict[str, tuple]) -> dict:
    """What a phase takes at least: FLOPs of a prefill; bytes that a step of decode reads,
    of each form's weights and of a cache with half of the new tokens.
    """
    if not phase.new:
        return {"flops": phase.batch * prefill_flops(config, phase.length)}
    tokens = phase.batch * (phase.length + phase.new // 2)
    return {
        "bytes": {
            name: size + cache_bytes(config, tokens, element)
            for name, (size, element) in weights.items()
        }
    }
