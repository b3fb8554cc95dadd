"""Hugging Face's own tests of a model, run on their Llama: with their layers, or ours.

They are read from the source of the installed version of transformers, which `make
unit` puts into the virtual environment's folder; none are kept here.
"""

import importlib
import sys
import unittest
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
import transformers
from transformers import LlamaConfig
from transformers.models.llama import modeling_llama

from companion.hugging_face import LlamaDecoderLayer

FOLDER = Path(
    sys.prefix, "hugging_face_tests", f"transformers-{transformers.__version__}"
)


class LeftOut:
    """Stands for base classes of their tester that its source comes without."""


LEFT_OUT = {
    "tests.exporters": {},
    "tests.exporters.test_export": {"ExportTesterMixin": type("", (), {})},
    "tests.generation": {},
    "tests.generation.test_utils": {"GenerationTesterMixin": LeftOut},
}


@contextmanager
def our_layers():
    """Every Llama that is made is made of our layers; nothing else is told to anyone."""
    with mock.patch.object(modeling_llama, "LlamaDecoderLayer", LlamaDecoderLayer):
        yield


class LlamaModelTester:
    """The small Llama that their tests ask for, and inputs for it."""

    batch_size, seq_length, is_training = 3, 7, True
    hidden_size, num_hidden_layers, num_attention_heads = 32, 2, 4
    vocab_size = 99

    def __init__(self, parent):
        self.parent = parent

    def get_config(self):
        return LlamaConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=37,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            num_key_value_heads=2,
            max_position_embeddings=64,
            hidden_act="silu",
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )

    def prepare_config_and_inputs_for_common(self):
        shape = self.batch_size, self.seq_length
        ids = torch.randint(3, self.vocab_size, shape)
        return self.get_config(), {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids).tril(),
        }


def their_tests():
    """Their tester, as a class of tests for the Llama."""
    if not FOLDER.is_dir():
        raise FileNotFoundError(f"{FOLDER} is missing: `make unit` fetches it")
    package = ModuleType("tests")
    package.__path__ = [str(FOLDER / "tests")]
    sys.modules["tests"] = package
    for name, content in LEFT_OUT.items():
        module = sys.modules[name] = ModuleType(name)
        vars(module).update(content)
    tester = importlib.import_module("tests.test_modeling_common").ModelTesterMixin

    class LlamaTests(tester, LeftOut, unittest.TestCase):
        __test__ = False  # run by ours, twice each, and not collected
        all_model_classes = (
            modeling_llama.LlamaModel,
            modeling_llama.LlamaForCausalLM,
            modeling_llama.LlamaForSequenceClassification,
            modeling_llama.LlamaForQuestionAnswering,
            modeling_llama.LlamaForTokenClassification,
        )

        def setUp(self):
            self.model_tester = LlamaModelTester(self)

    return LlamaTests


def outcome(test):
    """What came of a test of theirs, and what it had to say."""
    torch.manual_seed(0)
    result = unittest.TestResult()
    test.run(result)
    for name in ("errors", "failures", "skipped"):
        for _, message in getattr(result, name):
            return name, message
    return "passed", ""
