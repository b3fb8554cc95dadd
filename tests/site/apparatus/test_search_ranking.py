"""What a reader types into the search, and the page that has to come first."""

import browse
import pytest
import toc
from playwright.sync_api import expect

FIRST = {
    "rope": "rope",
    "kv cache": "kv_cache",
    "causal mask": "mask",
    "softmax": "attention",
    "gqa": "gqa",
    "roofline": "costs",
    "online softmax": "online_softmax",
    "rmsnorm": "norm_swiglu",
    "swiglu": "norm_swiglu",
    "tensor parallel": "parallel",
    "decode slow": "decode_loop",
    "why is my decode slow": "decode_loop",
    "KV cache shape": "kv_cache",
    "bytes per token": "kv_cache",
    "left padding": "mask",
    "residual stream": "decoder_layer",
    "cross-attention": "encoder_decoder",
    "broadcasting": "matmul",
    "CUDA graph": "gpu",
    "logits": "real_llama",
    # names of the code
    "q_len": "mask",
    "head_dim": "heads",
    "repeat_kv": "gqa",
    "k_proj": "decoder_layer",
    "past_key_values": "kv_cache",
    "is_causal": "mask",
    "split_heads": "heads",
    "masked_fill": "attention",
    "scaled_dot_product_attention": "attention",
}


@pytest.fixture
def search(visit, site):
    """Searching for something; gives the pages that are found, in their order."""

    def ask(query):
        visit.open(site / "search.html", f"?q={query.replace(' ', '+')}")
        visit.page.wait_for_function(
            "document.querySelector('.search-summary')?.innerText"
        )
        links = visit.page.locator("#search-results li a")
        found = links.evaluate_all("all => all.map(link => link.getAttribute('href'))")
        assert not browse.complaints(visit)
        assert not browse.foreign_requests(visit)
        return found

    return ask


def test_the_right_page_is_first(search):
    found = {query: (search(query) or [""])[0] for query in FIRST}
    wrong = {
        query: page
        for query, page in found.items()
        if page.partition(".html")[0] != f"book/{FIRST[query]}"
    }
    assert not wrong


def test_it_leads_to_the_section_that_says_most(search, visit):
    for query, place in (
        ("why is my decode slow", "decode_loop.html#where-the-bytes-are"),
        ("swiglu flops", "norm_swiglu.html#swiglu-by-hand"),  # no heading has both
        ("grouped-query attention", "gqa.html"),  # a chapter of that name begins there
    ):
        assert search(query)[0] == f"book/{place}"
    search("why is my decode slow")
    first = visit.page.locator("#search-results li a").first
    assert first.inner_text().endswith(" › Where the bytes are")


@pytest.mark.parametrize("name", ["repeat_kv", "apply_rope", "KVCache", "causal_mask"])
def test_a_name_of_the_api_is_near(name, search):
    near = search(name)[:3]
    assert [
        link
        for link in near
        if link.startswith("book/api") and link.endswith(f".{name}")
    ]


def test_a_part_of_a_name_finds_it(search):
    assert "book/kv_cache.html" in [
        link.partition("#")[0] for link in search("key_values")
    ]


@pytest.mark.parametrize(
    "query",
    ["qqzzxx", "the", "1 9 5 64", "%3Cimg%20src=x%20onerror=alert(1)%3E", "((", "[a-"],
)
def test_a_search_without_a_result_says_so(query, search):
    found = search(query)
    assert len(found) < 60


def loads(page):
    """The files of the search that a page loads."""
    sources = [
        script.get("src", "") for script in browse.parsed(page).find_all("script")
    ]
    names = "searchindex.js", "searchtools.js", "language_data.js"
    return [name for name in names for source in sources if name in source]


def test_only_the_search_page_loads_the_index(site):
    pages = [site / f"{name}.html" for name in [*toc.pages(), "genindex", "404"]]
    assert not [page.name for page in pages if loads(page)]
    assert len(loads(site / "search.html")) == 3


def test_a_search_begins_on_any_page(visit, site):
    visit.open(site / "book" / "rope.html")
    visit.page.keyboard.press("Control+k")
    visit.page.keyboard.type("repeat_kv")
    visit.page.keyboard.press("Enter")
    first = visit.page.locator("#search-results li a").first
    expect(first).to_have_attribute("href", "book/gqa.html#the-code")
    assert "search.html?q=repeat_kv" in visit.page.url
    assert not browse.complaints(visit)
