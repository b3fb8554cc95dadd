"""Version, commit and how to cite: each is said in one place, and the pages take it from there."""

import re
import shutil
import subprocess

import browse
import citation
import edition
import toc
import yaml

import companion

CFF = yaml.safe_load((toc.ROOT / "CITATION.cff").read_text())


def test_one_version_everywhere():
    assert edition.version(toc.ROOT) == companion.__version__ == CFF["version"]
    assert f"## {companion.__version__} (" in (toc.ROOT / "CHANGELOG.md").read_text()


def git(folder, *words):
    identity = "-c", "user.name=x", "-c", "user.email=x@example.org"
    subprocess.run(
        ["git", "-C", folder, *identity, *words], check=True, capture_output=True
    )


def test_the_commit_is_the_repositorys(tmp_path):
    assert edition.commit(tmp_path) is None
    git(tmp_path, "init")
    assert edition.commit(tmp_path) is None  # nothing was committed yet
    git(tmp_path, "commit", "--allow-empty", "-m", "x")
    assert re.fullmatch("[0-9a-f]{40}", edition.commit(tmp_path))


def test_an_archive_in_another_repository_has_no_commit(tmp_path):
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "x")
    archive = tmp_path / "book"
    archive.mkdir()
    assert edition.commit(archive) is None


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("git") is None
    assert edition.commit(toc.ROOT) is None


def test_each_page_names_its_edition(site):
    for name in [*toc.pages(), "genindex", "search"]:
        foot = browse.parsed(site / f"{name}.html").select_one("footer .edition")
        assert f"Version {companion.__version__}" in foot.get_text(), name
        assert "Cite this book" in foot.get_text(), name


def test_the_entry_is_made_of_the_file(site):
    expected = citation.bibtex(CFF)
    page = browse.parsed(site / "book" / "cite.html")
    assert page.select_one(".highlight-bibtex pre").get_text().strip() == expected
    assert expected.startswith("@book{shapeofattention2026,")
    assert "{{The Shape of Attention contributors}}" in expected
    assert "@book" not in (toc.ROOT / "README.md").read_text()


def test_people_are_cited_by_their_last_names():
    people = [{"family-names": "Noether", "given-names": "Emmy"}, {"name": "A group"}]
    assert "author  = {Noether, Emmy and {A group}}" in citation.bibtex(
        {**CFF, "authors": people}
    )
