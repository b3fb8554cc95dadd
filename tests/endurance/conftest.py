"""A checkpoint for commands, and a store and a scratch folder of a test's own."""

import zipfile

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
def folder(tmp_path, monkeypatch):
    """Where the store keeps its packages."""
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where what is compiled has its files."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture
def package(tmp_path):
    """A file that is whole as a package is, and none of torch's."""
    path = tmp_path / "package.pt2"
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("code", "a program " * 99)
    return path
