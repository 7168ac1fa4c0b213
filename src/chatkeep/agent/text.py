"""Texts of others, made such that they can be stored and sent."""


def clean_text(text: str) -> str:
    """Return the text without halves of characters, which are no UTF-8, and without NUL.

    Servers that are written in C, and databases behind others, end a text at a NUL.
    """
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
