"""What a file is, by its first bytes.

A type of which the signature is known must have it, and content with a known signature must be
declared as that. What has no signature of its own (text above all) must at least look like it.
"""

import codecs
import re

from chatkeep.mime import is_text

HEAD_BYTES = 8_192
"""How much of a file `matches` looks at; shorter files are given whole."""

_ZIP = "application/zip"
_OLE = "application/x-ole-storage"

# Offset, bytes, type. https://mimesniff.spec.whatwg.org and the formats' own specifications.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", _ZIP),
    (0, b"PK\x05\x06", _ZIP),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLE),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-msdownload"),
)
_RIFF = ("image/webp", "audio/wav")
_SHORT = ("image/bmp", "application/x-msdownload")  # two letters also begin many a text

# Containers by what they may be declared as.
_SAME: dict[str, re.Pattern[str]] = {
    _ZIP: re.compile(
        r"application/(zip|x-zip-compressed|epub\+zip|vnd\.openxmlformats-officedocument\..+"
        r"|vnd\.oasis\.opendocument\..+)"
    ),
    _OLE: re.compile(r"application/(msword|vnd\.ms-(excel|powerpoint|outlook))"),
    "application/rtf": re.compile(r"(application|text)/rtf"),
    "application/gzip": re.compile(r"application/(x-)?gzip"),
    "audio/wav": re.compile(r"audio/(x-|vnd\.)?wave?"),
    "audio/ogg": re.compile(r"(audio|video|application)/ogg"),
    "audio/mpeg": re.compile(r"audio/(mpeg|mp3)"),
    "video/mp4": re.compile(
        r"(video/(mp4|quicktime)|audio/(mp4|x-m4a|m4a)|image/(heic|heif|avif))"
    ),
    "video/webm": re.compile(r"(video|audio)/(webm|x-matroska)"),
}

_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(head: bytes) -> str | None:
    """Return the type that a signature tells, if one does."""
    for offset, signature, mime_type in _SIGNATURES:
        if not head.startswith(signature, offset):
            continue
        if mime_type in _RIFF and not head.startswith(b"RIFF"):
            continue
        if mime_type in _SHORT and not _BINARY.search(head):
            continue
        return mime_type
    return None


def matches(declared: str, head: bytes) -> bool:
    """Whether content that begins like this may be declared as that type."""
    found = sniff(head)
    if found is not None:
        same = _SAME.get(found)
        return declared == found or bool(same and same.fullmatch(declared))
    if is_text(declared):
        return head.startswith(_BOMS) or not _BINARY.search(head)
    # Nothing is known of the content, so it must be of a type of which nothing can be known.
    return not _has_signature(declared)


def _has_signature(declared: str) -> bool:
    return any(declared == mime_type for _, _, mime_type in _SIGNATURES) or any(
        pattern.fullmatch(declared) for pattern in _SAME.values()
    )
