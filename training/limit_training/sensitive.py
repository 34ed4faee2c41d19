"""Features that a law forbids or that need a look before they decide about credit.

A notice, never a refusal: which rule holds depends on the country and on the use. This is no legal
advice, and the names are only the common ones.
"""

import re
from dataclasses import dataclass

from .names import joined, shown
from .words import words_of

ECOA = "Regulation B (12 CFR 1002.4 and 1002.6) in the USA"
EU = "Directive (EU) 2023/2225, article 6, in the EU"
UK = "the Equality Act 2010 in the UK"


@dataclass(frozen=True)
class Subject:
    """A subject of a rule, the words that name it in a column, and the rule."""

    what: str
    words: frozenset[str]
    rule: str
    # Names without gaps: POSTCODE, ZIPCODE.
    joined: re.Pattern = re.compile(r"(?!)")


SUBJECTS = [
    Subject(
        "sex or gender",
        frozenset({"sex", "gender", "geschlecht", "sexe", "sexo", "male", "female"}),
        f"a prohibited basis in {ECOA}; sex discrimination in {UK} and in {EU}",
    ),
    Subject(
        "marital status",
        frozenset({"marital", "marriage", "married", "maritalstatus", "spouse", "familienstand"}),
        f"a prohibited basis in {ECOA}",
        re.compile(r"(name)?familystatus|civilstatus|maritalstat"),
    ),
    Subject(
        "race, colour, religion or national origin",
        frozenset(
            {"race", "ethnicity", "ethnic", "religion", "color", "colour"}
            | {"hispanic", "latino", "caucasian"}
        ),
        f"a prohibited basis in {ECOA}; a special category of data (GDPR, article 9) in the EU",
        # Only as a whole name: a blacklist and white goods are no race.
        re.compile(r"(is)?(black|white|asian|hispan)"),
    ),
    Subject(
        "nationality or residence status",
        frozenset(
            {"nationality", "citizenship", "citizen", "foreign", "foreigner", "immigrant"}
            | {"foreignworker", "immigration"}
        ),
        f"close to national origin, a prohibited basis in {ECOA}; named in {EU}",
    ),
    Subject(
        "age",
        frozenset({"age", "dob", "birthdate", "birthday", "birth", "alter", "edad", "born"}),
        f"allowed in {ECOA} only in a statistically sound model that gives no older applicant fewer"
        " points for the age; other rules elsewhere",
        re.compile(r"(customer|applicant|client|borrower)?age|ageyears|daysbirth|yearborn"),
    ),
    Subject(
        "dependants or family size",
        frozenset(
            {"dependants", "dependents", "dependant", "dependent", "children", "kids", "famsize"}
            | {"maintenance"}
        ),
        f"{ECOA} forbids assumptions about having children; close to marital status and age",
        re.compile(r"(cnt|num|numberof|noof)?(fammembers|children|dependents|dependants)"),
    ),
    Subject(
        "postcode or neighbourhood",
        frozenset({"postcode", "zip", "zipcode", "postal", "plz", "postalcode", "neighborhood"}),
        "may stand for national origin or race (redlining: the Fair Housing Act, and disparate"
        f" impact under {ECOA})",
        re.compile(r"(zip|post|postal)(code)?3?"),
    ),
    Subject(
        "public assistance",
        frozenset({"welfare", "benefits", "assistance"}),
        f"a prohibited basis in {ECOA}",
    ),
    Subject(
        "health or disability",
        frozenset({"disability", "disabled", "health", "pregnant", "pregnancy", "medical"}),
        "a special category of data (GDPR, article 9) in the EU; disability discrimination in "
        + UK,
    ),
]
# A word of a subject in a name that means something else: age of an account, title of a job.
OTHER_MEANINGS = re.compile(
    r"(age|birth|dependent)s?_?(of_)?(the_)?(acc|credit|car|loan|file|address|home|house|property|employ"
    r"|vehicle|trade|(oldest|newest)(_?(trade|account|loan))?)|(car|account|credit|loan|file|vehicle|house|home|property|trade"
    r"|own_car|oldest|newest|average|avg)_?.*_?age|(emp|job|loan)_?title|foreign_?(currency|trans)"
    r"|(benefits?|assistance)_?(ratio|cost)|(card|car|vehicle|product|house)_?colou?r|maintenance_?cost"
    r"|medical_?(debt|bill|collection).*",
    re.IGNORECASE,
)


def notice(name: str) -> str | None:
    """A notice about a feature of this name, with the rule behind it."""
    words = words_of(name)
    if OTHER_MEANINGS.fullmatch("_".join(words)):
        return None
    together = "".join(words)
    for subject in SUBJECTS:
        if subject.words.intersection(words) or subject.joined.fullmatch(together):
            return (
                f"{shown(name)} looks like {subject.what}: {subject.rule}. Ask your compliance"
                " department before a model with it decides; to train without it:"
                f" --exclude {joined([name])}."
            )
    return None
