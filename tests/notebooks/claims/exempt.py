"""Which numbers of a sentence are no claims, and why. All others have to be proven."""

import re

from claims.quantities import Quantity

MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|"
    "December"
)
# Before a number it is one's place or name; behind it (12 layers) the same word is counted.
PLACES = (
    "axis|axes|block|cell|chapter|column|dimension|equation|example|feature|figure|group|"
    "head|id|index|key|layer|line|mistake|pair|part|place|position|program|query|rank|row|"
    "section|sequence|slot|step|table|tile|token|value|word|seed|version"
)
PRODUCTS = (
    "BERT|CUDA|Gemma|GPT|Llama|Mistral|Python|Qwen|SmolLM|SmolLM2|T5|torch|PyTorch|"
    "Triton|transformers|BY|OFL|MIT|License|BSD"
)
BEFORE = {
    "place": rf"\b(?:{PLACES})(?:es|s)?\s(?:[\d,.]*\d\s?(?:,|and|to|or|–|-)\s?)*$",
    "name": rf"\b(?:{PRODUCTS})[ -](?:[\d.]+\s)?$",
}
BEFORE = {why: re.compile(pattern, re.IGNORECASE) for why, pattern in BEFORE.items()}
# Beside a letter that stands for a number: a formula, which no value has to be printed for.
SYMBOL_BEFORE = re.compile(r"(?<![\w.])\d*[A-Za-zℓθ]\s?[-+−·×/]\s?$")
SYMBOL_AFTER = re.compile(r"\s?[-+−·×/]\s?[A-Za-zℓθ](?![\w.])")
DATE = re.compile(rf"\s(?:{MONTHS})\b")
LEAST = 10  # the smallest whole number that is checked without a unit


def exempt(sentence: str, number: Quantity) -> str:
    """The reason why a number is no claim; empty where it is one."""
    before, after = sentence[: number.start], sentence[number.end :]
    if SYMBOL_BEFORE.search(before) or SYMBOL_AFTER.match(after):
        return "formula"
    for why, pattern in BEFORE.items():
        if pattern.search(before) and not number.unit:
            return why
    if DATE.match(after):
        return "date"
    if number.text.startswith("10") and number.digits == 1:
        return "power of ten"
    if number.unit:
        return "" if number.value or len(number.text) > 1 else "small"
    if re.fullmatch(r"1[89]\d\d|20[0-3]\d", number.text):
        return "year"
    if number.is_integer and number.value < LEAST and len(number.text) == 1:
        return "small"
    if re.match(r"[BM]\b", after):
        return "name"
    if re.match(r"\s?/\s?[\d\w]", after) or re.match(r"(?:st|nd|rd|th)\b", after):
        return "fraction or ordinal"
    return ""
