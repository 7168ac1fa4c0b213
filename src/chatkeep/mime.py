"""Types of files: which are images, which are text, and what a browser meant."""

import re

RASTER = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Images that run no script and that every browser and model understands."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

_TEXT = re.compile(
    r"text/.+|application/(.+\+)?(json|xml|yaml|toml)"
    r"|application/(x-)?(javascript|ecmascript|typescript|sh|shellscript|httpd-php|python"
    r"|ndjson|jsonlines|yaml|toml|sql|tex|latex|subrip)"
)

# What browsers send for files that their system has no type for, or takes for something else
# (a TypeScript file has the suffix of an MPEG transport stream).
_UNSAID = frozenset({"", "application/octet-stream", "video/mp2t", "application/x-unknown"})
_SUFFIXES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "md": "text/markdown",
    "html": "text/html",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "toml": "application/toml",
} | dict.fromkeys(
    "txt log ini cfg conf env rst tex sql py pyi js mjs cjs ts mts tsx jsx vue svelte css scss "
    "java kt scala go rs c h cc cpp hpp cs swift rb php pl lua r jl sh bash zsh ps1 bat diff patch "
    "dockerfile makefile gradle graphql proto srt vtt".split(),
    "text/plain",
)


def declared_type(mime_type: str, name: str) -> str:
    """Return the type of a file as its sender means it, without parameters; "" for nonsense."""
    declared = mime_type.partition(";")[0].strip().lower()
    if declared in _UNSAID:
        declared = _SUFFIXES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    return declared if _TYPE.fullmatch(declared) else ""


def is_text(mime_type: str) -> bool:
    """Whether files of this type are text, whatever they are called."""
    return _TEXT.fullmatch(mime_type) is not None and mime_type != "text/rtf"


def is_among(mime_type: str, patterns: tuple[str, ...]) -> bool:
    """Whether a type is one of some types, of which `text/*` names all with that beginning."""
    family = f"{mime_type.partition('/')[0]}/*"
    return any(pattern in (mime_type, family, "*/*") for pattern in patterns)
