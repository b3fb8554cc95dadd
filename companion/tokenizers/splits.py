"""How byte-level BPE cuts a text into words before merging, by the names GGUF files use."""

# What the rules are made of. \p{L} is a letter, \p{N} a digit or other number, of any script.
CONTRACTION = r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"  # with one sign or space before it
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"  # a word keeps the last space before it

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
LLAMA3 = rf"{CONTRACTION}|{WORD}|\p{{N}}{{1,3}}|{SIGNS}|{SPACES}"
QWEN2 = rf"{CONTRACTION}|{WORD}|\p{{N}}|{SIGNS}|{SPACES}"
SEED = rf"{CONTRACTION}|{WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{SPACES}"
# Tekken ends a word where a lower case letter meets an upper case one; this is how
# llama.cpp writes it, where only a-z and A-Z have a case.
NOT_LOWER, NOT_UPPER = r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{NOT_LOWER}*{NOT_UPPER}+"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{NOT_LOWER}+{NOT_UPPER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}"
)

# Rules are applied one after the other, each to the pieces that the one before left.
FAMILIES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("default",): (r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
    ("gpt-2", "exaone4", "gigachat", "granite-docling", "mellum", "mpt", "trillion"): (
        GPT2,
    ),
    ("smollm", "command-r", "minerva-7b", "refact", "starcoder"): (r"\p{N}", GPT2),
    ("llama3", "llama-v3", "llama-bpe", "falcon3", "midm-2.0", "pixtral"): (LLAMA3,),
    ("chatglm-bpe", "dbrx", "smaug-bpe"): (LLAMA3,),
    ("qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2"): (QWEN2,),
    ("seed-coder",): (SEED,),
    ("tekken",): (TEKKEN,),
    ("deepseek-coder",): (
        r"[\r\n]",
        r"\s?\p{L}+",
        r"\s?\p{P}+",
        "[\u0800-\u9fa5\uac00-\ud7ff]+",
        r"\p{N}",
    ),
}
SPLITS = {name: rules for names, rules in FAMILIES.items() for name in names}

# A word that is a token is taken whole, whatever the merges would make of it.
IGNORES_MERGES = {
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "midm-2.0",
    "pixtral",
    "tekken",
}
# Begin-of-text goes in front unless the file says otherwise.
ADDS_BEGIN = IGNORES_MERGES
