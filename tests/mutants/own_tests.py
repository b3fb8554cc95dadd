"""Which tests judge the mutants of a file: its own and those of what it refuses, the quick ones first."""

from pathlib import Path

ATTENTION = "properties/attention_formula properties/attention_sizes properties/attention_numbers"
LAYERS = "parity/layers_against_hugging_face parity/llama_against_hugging_face"
MODEL = "contract/model_refusals contract/request_refusals"
# Beside tests/test_<file>.py, by names without `test_`; of each file as of what it refuses.
OTHERS = {
    "attention": f"contract/attention_refusals {ATTENTION} properties/attention_symmetries",
    "broadcasting": "properties/matmul_properties",
    "cache": f"generate properties/cache_machine {MODEL} parity/autocast {LAYERS}",
    "config": "contract/config_refusals parity/known_configurations",
    "decoder": f"{MODEL} contract/part_refusals properties/chunks_and_padding {LAYERS}",
    "generate": f"{MODEL} properties/chunks_and_padding parity/autocast",
    "gqa": "contract/part_refusals properties/heads_and_groups",
    "heads": "contract/part_refusals properties/heads_and_groups",
    "masks": f"contract/part_refusals properties/mask_properties {MODEL}",
    "mlp": "properties/norm_and_mlp_properties",
    "model": f"{MODEL} properties/chunks_and_padding parity/autocast {LAYERS}",
    "norm": "contract/part_refusals properties/norm_and_mlp_properties",
    "numbers": f"sampling {MODEL} cache generate",
    "rope": "contract/part_refusals properties/rope_properties rope_scaling/rope_scaling",
    "sampling": f"properties/sampling_properties {MODEL}",
    "transformer_2017": "transformer_2017/encoder_decoder contract/encoder_decoder_refusals",
    "rope_scaling": "rope_scaling/rope_scaling contract/config_refusals config "
    "parity/configurations properties/rope_properties contract/compile",
}


def core() -> list[Path]:
    """The files that stand for chapters, what they refuse, and RoPE's scalings."""
    rooms = ("companion", "companion/refusals", "companion/rope_scaling")
    return [file for room in rooms for file in sorted(Path(room).glob("[a-z]*.py"))]


def tests_of(file: Path) -> list[str]:
    """The test files that judge a file of the core, in the order in which they are run."""
    name = "rope_scaling" if file.parent.name == "rope_scaling" else file.stem
    names = [name, *OTHERS[name].split()]
    paths = [
        Path("tests", each).parent / f"test_{Path(each).name}.py" for each in names
    ]
    return [str(path) for path in paths if path.is_file()]
