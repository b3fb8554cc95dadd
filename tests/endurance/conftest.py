"""A checkpoint for commands, and a scratch folder of a test's own."""

import pytest
import tiny
import tiny_files

TEMPLATE = "{% for m in messages %}{{ m.role }}:{{ m.content }} {% endfor %}a:"


@pytest.fixture
def checkpoint(tmp_path):
    """Writes for long, and chats."""
    model = tiny.model(max_position_embeddings=4096)
    return tiny_files.write_gguf(
        tmp_path / "tiny.gguf",
        model.config,
        model.state_dict(),
        metadata={"tokenizer.chat_template": TEMPLATE},
    )


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where what is compiled has its files."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    return tmp_path / "scratch"
