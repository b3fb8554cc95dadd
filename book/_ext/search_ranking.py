"""What the search ranks by: how often each section says a word, which Sphinx's index leaves out.

search_ranking.js reads it. Words that only make a sentence of a question are no words to search for.
"""

from collections import Counter
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.search import IndexBuilder
from sphinx.search.en import SearchEnglish

QUESTION = "a can do does did from have how i my me of so some than we what when where which who why you your"


class SearchQuestions(SearchEnglish):
    """English, without the words that a question consists of."""

    stopwords = SearchEnglish.stopwords | {*QUESTION.split()}


def words(indexer: IndexBuilder, part: nodes.Element) -> Counter[str]:
    """How often a page or section says each word, without the sections in it, stemmed as what is asked."""
    said: Counter[str] = Counter()
    for child in part.children:
        if not isinstance(child, nodes.section):
            found = indexer._word_collector(child)
            said.update(word.lower() for word in [*found.words, *found.title_words])
    counts: Counter[str] = Counter()
    for word, times in said.items():
        if indexer.lang.word_filter(stem := indexer.lang.stem(word)):
            counts[stem] += times
    return counts


def anchor(part: nodes.Element) -> str:
    """Where a section is on its page: the title's own is the page."""
    inside = part.parent is not None and part.parent is not part.document
    return part["ids"][0] if inside else ""


def count(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    document: nodes.document | None,
) -> None:
    """Count the words of a page when it is written."""
    if document is not None and app.builder.search:
        app.env.search_counts[page] = [
            (anchor(part), words(app.builder.indexer, part))
            for part in (document, *document.findall(nodes.section))
        ]


def start(app: Sphinx) -> None:
    """Begin with no page."""
    app.env.search_counts = {}


def hand_over(app: Sphinx) -> list:
    """Let Sphinx write the counts with its index: for each word the sections and how often."""
    indexer = app.builder.indexer
    plain = indexer.freeze

    def freeze() -> dict[str, Any]:
        index = plain()
        sections: list[tuple[int, str]] = []
        counts: dict[str, list[int]] = {}
        for number, page in enumerate(index["docnames"]):
            for anchor, said in app.env.search_counts.get(page, []):
                for word, times in sorted(said.items()):
                    counts.setdefault(word, []).extend((len(sections), times))
                sections.append((number, anchor))
        # what Sphinx keeps of them says no more
        told = {"sections": sections, "counts": counts}
        return {**index, "terms": {}, "titleterms": {}, **told}

    indexer.freeze = freeze
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the counting; pages are written in one process, since it collects from all."""
    app.add_search_language(SearchQuestions)
    app.connect("builder-inited", start)
    app.connect("html-page-context", count)
    app.connect("html-collect-pages", hand_over)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
