"""What the search ranks by: how often a page says a word, which Sphinx's index leaves out.

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


def words(indexer: IndexBuilder, document: nodes.document) -> Counter[str]:
    """How often a page says each word, stemmed as the search stems what it is asked."""
    found = indexer._word_collector(document)
    stems = (
        indexer.lang.stem(word.lower()) for word in [*found.words, *found.title_words]
    )
    return Counter(stem for stem in stems if indexer.lang.word_filter(stem))


def count(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    document: nodes.document | None,
) -> None:
    """Count the words of a page when it is written."""
    if document is not None and app.builder.search:
        app.env.search_counts[page] = words(app.builder.indexer, document)


def start(app: Sphinx) -> None:
    """Begin with no page."""
    app.env.search_counts = {}


def hand_over(app: Sphinx) -> list:
    """Let Sphinx write the counts with its index: for each word the pages and, in bits, how often."""
    indexer = app.builder.indexer
    plain = indexer.freeze

    def freeze() -> dict[str, Any]:
        index = plain()
        counts: dict[str, list[int]] = {}
        for number, page in enumerate(index["docnames"]):
            for word, times in sorted(app.env.search_counts.get(page, {}).items()):
                counts.setdefault(word, []).extend((number, times.bit_length()))
        # what Sphinx keeps of them says no more
        return {**index, "terms": {}, "titleterms": {}, "counts": counts}

    indexer.freeze = freeze
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the counting; pages are written in one process, since it collects from all."""
    app.add_search_language(SearchQuestions)
    app.connect("builder-inited", start)
    app.connect("html-page-context", count)
    app.connect("html-collect-pages", hand_over)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
