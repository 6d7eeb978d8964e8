"""Facts of a subject in the forms that the DANDI archive and the NWB Inspector accept.

Ages are ISO 8601 durations or ranges of them, sexes one letter, species Latin binomials or links to
the NCBI taxonomy, and weights a number of kilograms with the unit. Common other forms are turned
into these; a value whose meaning is not certain is refused.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import MetadataError, shown
from nwb_ophys.metadata.datetimes import parse_datetime

_PATH = 'metadata["Subject"]'


@attrs.frozen(kw_only=True)
class ArchiveSubject:
    """Facts of a subject in the archive's forms.

    Attributes
    ----------
    fields : dict
        The facts; those that were stated as unknown are left out.
    notes : tuple of str
        A sentence for each fact whose form was changed.
    faults : tuple of str
        A sentence for each fact that has no form in the archive, with the form wanted.
    faulty : tuple of str
        The keys of these facts, in the same order.
    """

    fields: dict[str, Any]
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    faulty: tuple[str, ...]


def archive_subject(
    subject: Mapping[str, Any], path: str = _PATH, keys: Collection[str] | None = None
) -> ArchiveSubject:
    """Turn the facts of a subject into the forms that archives accept.

    Parameters
    ----------
    subject : Mapping
        ``metadata["Subject"]``; not changed. Values of other types than the model's stay as they
        are, because the check of types reports them.
    path : str
        Path of the subject, for messages.
    keys : collection of str, optional
        The only facts that are turned; by default all of them.

    Returns
    -------
    ArchiveSubject
    """
    fields = {key: value for key, value in subject.items() if value is not None}
    notes: list[str] = []
    faults: dict[str, str] = {}
    for key, (turn, wanted) in _FORMS.items():
        value = fields.get(key)
        is_wanted = keys is None or key in keys
        if value is None or not is_wanted or not _is_of_type(key, value):
            continue
        where, before = f'{path}["{key}"] is {shown(value)}', dict(fields)
        try:
            if len(str(value)) > _LONGEST:
                raise ValueError(f"It has more than {_LONGEST} characters.")
            turned = turn(value, fields)
        except ValueError as reason:
            faults[key] = f"{where}; write {wanted}. {reason}".rstrip()
            continue
        if turned is None:
            del fields[key]
            notes.append(f"{where}, which states nothing; it is left out.")
        elif turned != value:
            fields[key] = turned
            why = _why(key, value, fields, before)
            notes.append(f"{where}; it is written as {shown(turned)}{why}.")
    return ArchiveSubject(
        fields=fields, notes=tuple(notes), faults=tuple(faults.values()), faulty=tuple(faults)
    )


def _is_of_type(key: str, value: Any) -> bool:
    if key == "weight":
        is_number = isinstance(value, (int, float, np.integer, np.floating))
        return isinstance(value, str) or (is_number and not isinstance(value, bool))
    return isinstance(value, str)


def _why(key: str, value: Any, fields: Mapping[str, Any], stated: Mapping[str, Any]) -> str:
    if key == "weight" and _UNITLESS.fullmatch(str(value).strip()):
        return ", because NWB counts weights in kg; state the unit, such as '25 g', if it differs"
    if key == "age" and fields.get("age__reference") != stated.get("age__reference"):
        return f" with age__reference {fields['age__reference']!r}"
    return ""


_NOT_STATED = {"", "-", "?", "n/a", "n.a.", "na", "none", "not known", "unknown", "unspecified"}


def _is_unknown(value: str) -> bool:
    return value.strip().lower() in _NOT_STATED


# The time that a search for numbers in a text takes grows with the square of its length.
_LONGEST = 500


# --- ages -----------------------------------------------------------------------------------------

_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(
    rf"P(?!$)({_NUMBER}Y)?({_NUMBER}M)?({_NUMBER}W)?({_NUMBER}D)?"
    rf"(T(?=\d)({_NUMBER}H)?({_NUMBER}M)?({_NUMBER}S)?)?"
)
_PARTS = re.compile(rf"({_NUMBER})([YMWD])")
_UNITS = {"y": "Y", "year": "Y", "yr": "Y", "m": "M", "mo": "M", "mon": "M", "month": "M"}
_UNITS |= {"w": "W", "wk": "W", "week": "W", "d": "D", "day": "D"}
_QUANTITY = re.compile(rf"({_NUMBER})\s*-?\s*([a-z]+)\.?")
_RANGE = re.compile(rf"({_NUMBER})\s*(?:-|–|to)\s*({_NUMBER})\s*([a-z]+)\.?")
_POSTNATAL = re.compile(rf"(?:p|pd|pnd)\s*-?\s*({_NUMBER})")
_EMBRYONIC = re.compile(rf"(?:e|ed)\s*-?\s*({_NUMBER})")
_GESTATIONAL = re.compile(r"\b(?:gestational|gestation|embryonic)\b(?:\s+age)?:?")
_SINCE_BIRTH = re.compile(r"\b(?:old|of age|after birth|postnatal)\b|^age[d:]?\s")


def _age(value: str, fields: dict[str, Any]) -> str | None:
    """Return an ISO 8601 duration or a range; an age of an embryo also sets its reference."""
    if _is_unknown(value):
        return None
    text = value.strip().replace(",", ".") if "/" not in value else value.strip()
    compact = text.upper().replace(" ", "")
    if _is_archived(compact):
        _check_order(compact)
        return compact
    lower = text.lower()
    embryonic = _EMBRYONIC.fullmatch(lower)
    if embryonic or _GESTATIONAL.search(lower):
        duration = f"P{embryonic[1]}D" if embryonic else _duration(_GESTATIONAL.sub("", lower))
        if fields.get("age__reference", "gestational") != "gestational":
            raise ValueError(f"The age__reference is {fields['age__reference']!r}.")
        fields["age__reference"] = "gestational"
        return duration
    postnatal = _POSTNATAL.fullmatch(lower)
    if postnatal:
        return f"P{postnatal[1]}D"
    return _duration(_SINCE_BIRTH.sub("", lower))


def _is_archived(text: str) -> bool:
    ends = text.split("/")
    is_range = len(ends) == 2 and any(ends)
    return all(_DURATION.fullmatch(end) or (is_range and not end) for end in ends)


_DAYS = {"Y": 365, "M": 30, "W": 7, "D": 1}


def _check_order(text: str) -> None:
    """Raise ValueError where a range ends before it begins."""
    ends = text.split("/")
    days = [
        sum(float(number) * _DAYS[unit] for number, unit in _PARTS.findall(end.partition("T")[0]))
        for end in ends
        if end
    ]
    if len(days) == 2 and days[0] > days[1]:
        raise ValueError("The range ends before it begins.")


def _duration(text: str) -> str:
    """Return the duration of quantities such as ``3 months``, with larger units first."""
    text = text.strip().strip("()").strip()
    ends = text.split("/")
    if len(ends) == 2 and all(_QUANTITY.fullmatch(end.strip()) for end in ends):
        return "/".join(map(_duration, ends))
    between = _RANGE.fullmatch(text)
    if between:
        low, high, unit = between.groups()
        both = f"{_duration(low + unit)}/{_duration(high + unit)}"
        _check_order(both)
        return both
    found: dict[str, str] = {}
    rest = _QUANTITY.sub(lambda match: _collect(match, found), text)
    if not found or rest.replace("and", "").strip(" ,;.+"):
        raise ValueError
    if list(found) != sorted(found, key="YMWD".index):
        raise ValueError
    return "P" + "".join(f"{number}{unit}" for unit, number in found.items())


def _collect(match: re.Match[str], found: dict[str, str]) -> str:
    word = match[2]
    unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    if unit is None or unit in found:
        raise ValueError
    found[unit] = match[1]
    return ""


def _reference(value: str, _: Any) -> str | None:
    if _is_unknown(value):
        return None
    word = value.strip().lower()
    known = {"postnatal": "birth", "gestation": "gestational", "embryonic": "gestational"}
    found = known.get(word, word)
    if found not in ("birth", "gestational"):
        raise ValueError
    return found


# --- sex and species ------------------------------------------------------------------------------

_SEXES = {"M": ("m", "male"), "F": ("f", "female"), "O": ("o", "other", "hermaphrodite")}
_SEXES["U"] = ("u", "unknown", "unspecified", "not known", "n/a", "?")
_ELEGANS = "Caenorhabditis elegans"
_SEXES_OF_WORMS = {"XO": ("xo", "m", "male"), "XX": ("xx", "hermaphrodite"), "U": _SEXES["U"]}


def _sex(value: str, fields: dict[str, Any]) -> str | None:
    word = value.strip().lower()
    if not word:
        return None
    species = fields.get("species")
    is_worm = isinstance(species, str) and _known_species(species) == _ELEGANS
    for letter, words in (_SEXES_OF_WORMS if is_worm else _SEXES).items():
        if word in words:
            return letter
    raise ValueError


_SPECIES = {
    "Mus musculus": ("mouse", "mice", "house mouse", "lab mouse", "laboratory mouse"),
    "Rattus norvegicus": ("rat", "rats", "norway rat", "brown rat", "lab rat", "laboratory rat"),
    "Rattus rattus": ("black rat",),
    "Homo sapiens": ("human", "humans"),
    "Danio rerio": ("zebrafish", "zebra fish", "danio"),
    "Drosophila melanogaster": ("drosophila", "fruit fly", "fruitfly"),
    _ELEGANS: (),
    "Callithrix jacchus": ("marmoset", "common marmoset"),
    "Macaca mulatta": ("rhesus", "rhesus macaque", "rhesus monkey"),
    "Macaca fascicularis": ("cynomolgus", "cynomolgus macaque", "cynomolgus monkey"),
    "Macaca nemestrina": ("pig-tailed macaque", "pigtail macaque", "pigtail monkey"),
    "Meriones unguiculatus": ("mongolian gerbil", "gerbil", "mongolian jird"),
    # The name has three words, which archives do not accept.
    "http://purl.obolibrary.org/obo/NCBITaxon_9669": ("ferret", "mustela putorius furo"),
    "Felis catus": ("cat",),
    "Canis familiaris": ("dog",),
    "Sus scrofa": ("pig",),
    "Oryctolagus cuniculus": ("rabbit",),
    "Cavia porcellus": ("guinea pig",),
    "Tupaia belangeri": ("tree shrew",),
    "Taeniopygia guttata": ("zebra finch",),
    "Gallus gallus": ("chicken",),
    "Microcebus murinus": ("mouse lemur",),
    "Oryzias latipes": ("medaka",),
    "Apis mellifera": ("honeybee", "honey bee"),
}
# The second word of names that look like a binomial but are not Latin.
_ENGLISH = {"mouse", "mice", "rat", "rats", "monkey", "macaque", "fish", "fly", "worm", "human"}
_LATIN = re.compile(r"[A-Z][a-z]+ ([a-z]+)(?: [a-z]+)?")
_TAXON = re.compile(
    r"(?:https?://purl\.obolibrary\.org/obo/NCBITaxon_|NCBITaxon[:_]|NCBI:txid|txid)(\d+)/?",
    re.IGNORECASE,
)


def _species(value: str, _: Any) -> str | None:
    if _is_unknown(value):
        return None
    found = _known_species(value)
    if found is not None:
        return found
    taxon = _TAXON.fullmatch(value.strip())
    if taxon:
        return f"http://purl.obolibrary.org/obo/NCBITaxon_{taxon[1]}"
    latin = _LATIN.fullmatch(value.strip())
    if latin and latin[1] not in _ENGLISH:
        return value.strip()
    raise ValueError


def known_species() -> list[str]:
    """Return the Latin names of species for suggestions, the common ones first."""
    return list(_SPECIES)


def _known_species(value: str) -> str | None:
    """Return the Latin name of a species that is known by another name or form of it."""
    text = " ".join(value.lower().replace("_", " ").split())
    for latin, others in _SPECIES.items():
        genus, _, rest = latin.lower().partition(" ")
        abbreviated = (f"{genus[0]}. {rest}", f"{genus[0]}.{rest}", f"{genus[0]} {rest}")
        if text == latin.lower() or text in others or text in abbreviated:
            return latin
    return None


# --- weight and date of birth ---------------------------------------------------------------------

_UNITLESS = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?|[-+]?(?:inf|nan)", re.IGNORECASE)
_WEIGHT = re.compile(r"(\d*\.?\d+(?:e[-+]?\d+)?)\s*([a-zµμ]*)\.?", re.IGNORECASE)
_KILOGRAMS = {
    "": "1",
    "kg": "1",
    "kgs": "1",
    "kilogram": "1",
    "kilograms": "1",
    "g": "1e-3",
    "gr": "1e-3",
    "gram": "1e-3",
    "grams": "1e-3",
    "mg": "1e-6",
    "milligram": "1e-6",
    "milligrams": "1e-6",
    "ug": "1e-9",
    "µg": "1e-9",
    "μg": "1e-9",
    "ng": "1e-12",
}


def _weight(value: Any, _: Any) -> str | None:
    """Return a number of kilograms with its unit, in decimal notation as archives want it."""
    text = str(value).strip()
    if isinstance(value, str) and _is_unknown(value):
        return None
    match = _WEIGHT.fullmatch(text)
    factor = _KILOGRAMS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError
    try:
        kilograms = Decimal(match[1]) * Decimal(factor)
    except InvalidOperation:
        raise ValueError from None
    if not 0 < kilograms < Decimal("1e6"):
        raise ValueError("Weights of animals are above 0 and below 1000 t.")
    written = f"{kilograms.normalize():f}"
    is_same = isinstance(value, str) and text == f"{match[1]} kg" and "e" not in match[1].lower()
    return text if is_same and not match[1].startswith(".") else f"{written} kg"


_DATE = re.compile(r"(\d{4})([./]?)(\d\d?)\2(\d\d?)")


def _date_of_birth(value: str, _: Any) -> str | None:
    if _is_unknown(value):
        return None
    match = _DATE.fullmatch(value.strip())
    if match and (match[2] or len(value.strip()) == 8):
        try:
            return datetime.date(int(match[1]), int(match[3]), int(match[4])).isoformat()
        except ValueError:
            raise ValueError from None
    try:
        parse_datetime(value, "")
    except MetadataError:
        raise ValueError from None
    return value


_FORMS: Mapping[str, tuple[Callable[[Any, dict[str, Any]], str | None], str]] = {
    "age__reference": (_reference, "'birth' or 'gestational'"),
    "age": (
        _age,
        "an ISO 8601 duration, such as 'P90D' (90 days), 'P12W' (12 weeks) or 'P3M' (3 months), or "
        "a range such as 'P3M/P4M'",
    ),
    "species": (
        _species,
        "the Latin name, such as 'Mus musculus' or 'Macaca mulatta', or a link to the NCBI "
        "taxonomy, such as 'http://purl.obolibrary.org/obo/NCBITaxon_10090'",
    ),
    "sex": (
        _sex,
        "'M' (male), 'F' (female), 'O' (other) or 'U' (unknown); for Caenorhabditis elegans 'XO' "
        "(male) or 'XX' (hermaphrodite)",
    ),
    "weight": (_weight, "a number and a unit of mass, such as '0.025 kg' or '25 g'"),
    "date_of_birth": (_date_of_birth, "an ISO 8601 date, such as '2024-05-17'"),
}
