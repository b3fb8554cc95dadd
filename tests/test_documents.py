"""README, API pages and package say the same."""

import re
from pathlib import Path

import companion

ROOT = Path(__file__).parent.parent


def test_the_readme_example_runs_and_prints_what_it_says(capsys):
    [example] = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    exec(compile(example, "README.md", "exec"), {})
    [promised] = re.findall(r"print\(.*# (.*)", example)
    assert capsys.readouterr().out.strip() == promised


def test_the_api_pages_have_every_public_name():
    pages = "".join(page.read_text() for page in (ROOT / "book").glob("api*.md"))
    documented = set(re.findall(r":: companion\.[\w.]+\.(\w+)", pages))
    assert set(companion.__all__) <= documented
    assert all(hasattr(companion, name) for name in companion.__all__)


def test_one_address_everywhere():
    """A fork that moves has to be able to find every place that names the repository.

    Sources that are elsewhere have other names.
    """
    files = [
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
        "CITATION.cff",
        "_config.yml",
    ]
    files += [str(path.relative_to(ROOT)) for path in (ROOT / "book").glob("*.ipynb")]
    for name in files:
        found = re.findall(r"github\.com/([\w-]+/[\w-]+)", (ROOT / name).read_text())
        ours = {x for x in found if x.startswith("the-shape") or x.endswith("/book")}
        assert ours == {"the-shape-of-attention/book"}, name
