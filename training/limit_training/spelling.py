"""Numbers as people write them: with percent and currency signs, separators and decimal commas.

The database and the model read plain numbers. What such a text would be as one is advice for the
person, never a value that the model uses: 1,234 is another number in another country.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

BLANKS = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
MINUS = {ord("\u2212"): "-", ord("\u2013"): "-"}
CURRENCY = re.compile(
    r"R\$|A\$|C\$|US\$|Rs\.?|kr\.?|zł|Kč|Ft|lei|USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD|NZD|SEK|NOK"
    r"|DKK|PLN|CZK|HUF|ZAR|BRL|MXN|NTD|NT\$|TWD|SGD|HKD|KRW|TRY|RUB|[$€£¥₹₽₺₩₫₦₱฿₪¢]",
    re.IGNORECASE,
)
# A point or a comma before the last digits, with groups of three (or of two, as in India).
POINT = re.compile(r"[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?")
COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+|[+-]?\d{1,3}(\.\d{3}){2,}")
GROUPS = re.compile(r"[+-]?\d{1,3}(?P<gap>[ '’_])\d{3}((?P=gap)\d{3})*([.,]\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
# 1,234 is a whole number in one country, and a fraction in another.
AMBIGUOUS = re.compile(r"[+-]?\d{1,3},\d{3}")

# A number with the same word in every row: "36 months", "5yrs".
WITH_UNIT = re.compile(r"\s*(?P<number>[+-]?\d+(?:\.\d+)?)\s*(?P<unit>[^\W\d_]+)\.?\s*")


@dataclass(frozen=True)
class Written:
    """A number as a person wrote it, as the database reads it, and what sets the two apart."""

    plain: str
    signs: tuple[str, ...]
    ambiguous: bool = False


def plain(text: str) -> Written | None:
    """The number that a text is with signs and separators; None for a plain number or no number."""
    core = text.translate(BLANKS).translate(MINUS).strip()
    signs = []
    if core.startswith("(") and core.endswith(")"):
        core, negative = core[1:-1].strip(), True
        signs.append("brackets")
    else:
        negative = False

    if core.endswith(("%", "‰")):
        core = core[:-1].strip()
        signs.append("a percent sign")
    sign = core[0] if core[:1] in ("+", "-") else ""
    without = _without_currency(core[len(sign) :].strip())
    if without is not None:
        core = sign + without
        signs.append("a currency sign")
    if core.endswith("-") and core[:-1].strip():
        core = "-" + core[:-1].strip()
        signs.append("a minus sign at its end")

    number = _without_separators(core)
    if number is None:
        return None
    digits, separators = number
    signs += separators
    if negative:
        digits = f"-{digits}"
    if not signs and digits == text.strip():
        return None
    return Written(digits, tuple(signs or ["a typographic minus sign"]), _is_ambiguous(core))


def _is_ambiguous(core: str) -> bool:
    return AMBIGUOUS.fullmatch(core) is not None


def _without_currency(core: str) -> str | None:
    """The text without a currency sign before or after it; None if it has none."""
    if match := CURRENCY.match(core):
        return core[match.end() :].strip()
    for match in CURRENCY.finditer(core):
        if match.end() == len(core):
            return core[: match.start()].strip()
    return None


def _without_separators(core: str) -> tuple[str, list[str]] | None:
    if not core.isascii() and not GROUPS.fullmatch(core):
        try:
            return f"{float(core):g}", ["digits of another script"]
        except ValueError:
            return None
    if PLAIN.fullmatch(core):
        return core, []
    if POINT.fullmatch(core):
        return core.replace(",", ""), ["thousands separators"]
    if COMMA.fullmatch(core):
        return core.replace(".", "").replace(",", "."), ["thousands separators"]
    if match := GROUPS.fullmatch(core):
        digits = core.replace(match["gap"], "").replace(",", ".")
        return digits, ["thousands separators"]
    if DECIMAL_COMMA.fullmatch(core):
        return core.replace(",", "."), ["a decimal comma"]
    return None


def advice(texts: Iterable[str]) -> tuple[str, str]:
    """What such texts of one column have, and what to write instead, with an example."""
    read = [(text, written) for text in texts if (written := plain(text))]
    signs = list(dict.fromkeys(sign for _, written in read for sign in written.signs))
    commas = any("a decimal comma" in written.signs for _, written in read)
    text, written = read[0]
    if commas:
        # One 12,5 shows that 1,234 in the same column is a fraction too.
        signs = [sign for sign in signs if sign != "thousands separators"] or signs
        text, written = next(pair for pair in read if "a decimal comma" in pair[1].signs)
    what = f"write plain numbers, with a point before the fraction: {written.plain} for '{text}'"
    if written.ambiguous and not commas:
        what += f" (or {written.plain[:-3]}.{written.plain[-3:]}, if the comma is a decimal comma)"
    return " and ".join(signs), what


def unit_of(texts: Iterable[str]) -> tuple[str, str] | None:
    """A text and its number, if every text is a number and one unit: "36 months" and "36"."""
    matches = [WITH_UNIT.fullmatch(text) for text in texts]
    if not matches or not all(matches):
        return None
    # month and months are one unit.
    units = {match["unit"].lower().rstrip("s") for match in matches}
    return (matches[0].string, matches[0]["number"]) if len(units) == 1 else None
