"""The index leads from a word to its meaning, and to the sections that explain it."""

import browse
import pytest
import toc
import yaml

ENTRIES = yaml.safe_load((toc.ROOT / "book" / "index_entries.yml").read_text())


def entries(site):
    """Each word of the index, which may be a name of the code too: where it leads, and what is below it."""
    found = {}
    for item in browse.parsed(site / "genindex.html").select("ul.index-entries > li"):
        below = [link["href"] for link in item.select(":scope > ul a")]
        own = [link["href"] for link in item.select("a") if link["href"] not in below]
        name = item.find(string=lambda text: text.strip()).strip()
        both = found.setdefault(name, ([], []))
        both[0].extend(own)
        both[1].extend(below)
    return found


def test_it_has_the_words_of_the_glossary_and_where_they_are_explained(site):
    found = entries(site)
    terms = browse.parsed(site / "book" / "glossary.html").select("dl.glossary > dt")
    assert len(terms) > 90
    for term in terms:
        name = term.find(string=True).strip()
        own, below = found[name]
        assert f"book/glossary.html#{term['id']}" in own
        assert below, name


@pytest.mark.parametrize("name", ENTRIES)
def test_it_has_the_entries_of_the_list(name, site):
    _, below = entries(site)[str(name)]
    assert {link.partition("#")[0] for link in below} >= {
        f"book/{target.partition('#')[0]}.html" for target in ENTRIES[name]
    }


def test_it_is_in_the_table_of_contents(site):
    for name in toc.pages():
        menu = browse.parsed(site / f"{name}.html").select_one("nav.bd-docs-nav")
        assert [
            link
            for link in menu.find_all("a")
            if link["href"].endswith("genindex.html")
        ]
