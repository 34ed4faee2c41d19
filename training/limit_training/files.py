"""What a file is by its first bytes, and its text.

The loader of customers has the same rules. tests/csv_dialect.json has the cases of both. A Parquet
file does not come here.
"""

import gzip
import re
from collections.abc import Callable
from typing import BinaryIO, TextIO

from .errors import TrainingError

HEAD_BYTES = 4096
GZIP = b"\x1f\x8b"
DECOMPRESS = "decompress it, or compress it with gzip"
SAVE_AS_CSV = "save its sheet as CSV (CSV UTF-8) and give that file"
UNPACK = "unpack it and give the CSV file in it"
DOWNLOAD = "download the file itself, or ask for it as CSV"
AS_LINES = "write it as CSV, with a header and one line per customer"
# How files of other kinds begin, what they are, and what to do.
OTHERS = [
    (b"PAR1", "Parquet inside gzip", "decompress it: the columns of a Parquet file are compressed"),
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"ARROW1", "an Arrow file (Feather)", "write it as Parquet or CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (xls)", SAVE_AS_CSV),
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", "pack it again, or give the CSV file"),
    (b"BZh", "compressed with bzip2", DECOMPRESS),
    (b"\xfd7zXZ", "compressed with xz", DECOMPRESS),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", DECOMPRESS),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"%PDF", "a PDF document", "ask for the table as CSV"),
]
# The same for texts, which may have a mark, blanks and capitals.
OTHER_TEXTS = [
    (b"<!", "a web page", DOWNLOAD),
    (b"<html", "a web page", DOWNLOAD),
    (b"<?xml", "an XML document", "ask for the table as CSV"),
    (b"[{", "JSON", AS_LINES),
    (b'{"', "JSON", AS_LINES),
]
# What may separate fields. The header decides: the one that it has most often.
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
LINE_END = re.compile(r"\r\n?|\n")


def opener_of(path: str) -> tuple[Callable[[], BinaryIO], str]:
    """How to open the bytes of a file, without gzip, and the encoding of its text."""
    with open(path, "rb") as handle:
        compressed = handle.read(len(GZIP)) == GZIP

    def opener() -> BinaryIO:
        return gzip.open(path, "rb") if compressed else open(path, "rb")  # noqa: SIM115

    with opener() as handle:
        head = handle.read(HEAD_BYTES)
    _check_kind(path, head)
    return opener, _encoding(path, head)


def _check_kind(path: str, head: bytes) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:8].lower()
    found = [other for other in OTHERS if head.startswith(other[0])]
    found += [other for other in OTHER_TEXTS if start.startswith(other[0])]
    if not found:
        return
    _, what, next_step = found[0]
    if what == "a zip archive" and (b"xl/" in head or b"[Content_Types].xml" in head):
        what, next_step = "an Excel workbook (xlsx)", SAVE_AS_CSV
    raise _kind_error(path, what, next_step)


def _kind_error(path: str, what: str, next_step: str) -> TrainingError:
    return TrainingError(
        f"the file is {what}, not a table of text", where=path, next_step=next_step
    )


def _encoding(path: str, head: bytes) -> str:
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise _kind_error(path, "UTF-32 text", "save it as UTF-8")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    # Without a mark, every other byte of a header in Latin letters is zero.
    zeros = [byte == 0 for byte in head[:4]]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    if zeros == [True, False, True, False]:
        return "utf-16-be"
    return "utf-8-sig"


def start(handle: TextIO, skipped_lines: int) -> tuple[str, int]:
    """Reads up to the header. Returns the separator and the number of lines above the header.

    Excel writes the separator above the header, as `sep=;`.
    """
    above = 0
    for _ in range(skipped_lines):
        handle.readline()
        above += 1
    while True:
        place = handle.tell()
        line = handle.readline()
        if not line or line.strip("\r\n"):
            break
        above += 1

    header = line.rstrip("\r\n")
    if header.startswith("sep=") and len(header) == 5:
        return header[4], above + 1
    handle.seek(place)
    plain = "".join(header.split('"')[::2])
    most = max(SEPARATORS, key=plain.count)
    return (most if plain.count(most) else ","), above


def bad_byte(opener: Callable[[], BinaryIO]) -> tuple[int, str]:
    """The line of the first byte that is not UTF-8, and what is wrong with it."""
    with opener() as handle:
        content = handle.read()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = line_of(content[: error.start].decode(), error.start)
        return line, f"the text is not UTF-8: it has the byte 0x{content[error.start]:02x}"
    return 1, "the text is not UTF-8"


def line_of(text: str, offset: int) -> int:
    return 1 + len(LINE_END.findall(text[:offset]))
