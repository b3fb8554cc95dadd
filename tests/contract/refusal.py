"""How the tests of this folder say what a message must quote."""

import re


def said(*quotes: object) -> str:
    """A pattern for `pytest.raises`: each quote is in the message, in any order, as whole words."""
    return "(?s)^" + "".join(
        rf"(?=.*(?<!\w){re.escape(str(quote))}(?!\w))" for quote in quotes
    )
