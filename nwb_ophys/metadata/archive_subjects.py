"""Findings of the DANDI archive on the subject, and on identifiers; see ``archive.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from nwb_ophys.errors import shown
from nwb_ophys.metadata.dandi_names import is_nameable, named
from nwb_ophys.metadata.findings import Finding, advised, is_no_description, required, stated_text
from nwb_ophys.metadata.subjects import ArchiveSubject

_EXAMPLES = {
    "subject_id": "M7",
    "species": "Mus musculus",
    "sex": "F",
    "age": "P90D",
    "age__reference": "birth",
    "weight": "0.025 kg",
    "date_of_birth": "2024-02-17",
}
# Inspector, CRITICAL: check_subject_exists, check_subject_id_exists, check_subject_sex,
# check_subject_species_exists, check_subject_age.
_WANTED = {
    "subject_id": "give the identifier of the animal, after which DANDI names the file",
    "species": "give its Latin name, or a link to the NCBI taxonomy",
    "sex": "give 'M', 'F', 'O' (other) or 'U' (unknown)",
    "age": "give an ISO 8601 duration, or Subject.date_of_birth",
}


def findings_of_subject(forms: ArchiveSubject) -> Iterator[Finding]:
    """Yield the findings of the facts of a subject.

    Parameters
    ----------
    forms : ArchiveSubject
        The facts in the archive's forms, made with an empty path.
    """
    subject = forms.fields
    yield from _of_forms(forms)
    yield from _of_missing(subject, forms.faulty)
    yield from findings_of_identifier("Subject.subject_id", subject.get("subject_id"), "sub", "M7")
    accepted = {key: value for key, value in subject.items() if key not in forms.faulty}
    yield from _of_species_form(stated_text(accepted.get("species")))
    of_range = list(_of_age_range(stated_text(accepted.get("age"))))
    if of_range:
        yield from of_range
        del accepted["age"]
    yield from refused_by_upload(accepted)
    # Inspector, BEST_PRACTICE_SUGGESTION: check_description.
    if subject and is_no_description(subject.get("description")):
        message = "The subject has no description."
        yield advised("Subject.description", message, "Trained on a wheel.")


def _of_forms(forms: ArchiveSubject) -> Iterator[Finding]:
    """Yield a finding for each fact whose form the archive does not know.

    Inspector: check_subject_age, check_subject_sex, check_subject_species_form and
    check_subject_weight are CRITICAL. A conversion refuses these values as well.
    """
    for key, fault in zip(forms.faulty, forms.faults, strict=True):
        words = " ".join(key.replace("_", " ").split())
        yield required(
            f"Subject.{key}", fault.replace(f'["{key}"]', f"The {words}", 1), _EXAMPLES[key]
        )


def _of_missing(subject: Mapping[str, Any], faulty: tuple[str, ...]) -> Iterator[Finding]:
    has_birth = subject.get("date_of_birth") is not None
    for key, wanted in _WANTED.items():
        value = subject.get(key)
        if key in faulty or (key == "age" and has_birth) or value not in (None, ""):
            continue
        words = key.replace("_", " ")
        yield required(f"Subject.{key}", f"The {words} is missing; {wanted}.", _EXAMPLES[key])


def findings_of_identifier(key: str, value: Any, prefix: str, example: str) -> Iterator[Finding]:
    """Yield a finding for an identifier that names of files cannot have as it is.

    Parameters
    ----------
    key : str
        Dotted key of the identifier.
    value : Any
    prefix : {"sub", "ses"}
        Prefix of the identifier in names.
    example : str
        Another identifier, for a value by which no file can be named.
    """
    text = stated_text(value)
    if text is None:
        return
    words = key.partition(".")[2].replace("_", " ")
    name = named(text)
    if not is_nameable(text):  # dandi organize would make a name without letters
        yield required(key, f"The {words} {shown(text)} cannot name a file.", example)
    elif "/" in text:
        # Inspector, CRITICAL: check_subject_id_no_slashes and check_session_id_no_slashes.
        yield required(key, f"The {words} {shown(text)} has a slash.", name)
    elif name != text:  # dandi organize
        message = f"The {words} {shown(text)} has characters that DANDI does not use in names"
        yield advised(key, f"{message}; the name of the file has {prefix}-{name}.", name)


# --- species --------------------------------------------------------------------------------------

_LINK = "http://purl.obolibrary.org/obo/NCBITaxon_"
_NAME = re.compile("[A-Z][a-z]* [a-z]+")
# dandi-cli 0.81, metadata/util.py: species_map. "dandi upload" fails for every other name.
_READ = {
    "Mus musculus",
    "Homo sapiens",
    "Rattus norvegicus",
    "Rattus rattus",
    "Macaca mulatta",
    "Macaca nemestrina",
    "Macaca radiata",
    "Callithrix jacchus",
    "Drosophila melanogaster",
    "Danio rerio",
    "Caenorhabditis elegans",
    "Meriones unguiculatus",
    "Polistes fuscatus",
}
# The same map: a name that begins so is read as this species, whatever follows.
_PREFIXES = {
    "mus": "Mus musculus",
    "homo": "Homo sapiens",
    "caenorhabditis": "Caenorhabditis elegans",
}
_WORM = "Caenorhabditis elegans"
_TAXA: Mapping[str, object] = {
    _WORM: 6239,
    "Apis mellifera": 7460,
    "Canis familiaris": 9615,
    "Canis lupus familiaris": 9615,
    "Cavia porcellus": 10141,
    "Felis catus": 9685,
    "Gallus gallus": 9031,
    "Macaca fascicularis": 9541,
    "Microcebus murinus": 30608,
    "Mus spretus": 10096,
    "Oryctolagus cuniculus": 9986,
    "Oryzias latipes": 8090,
    "Sus scrofa": 9823,
    "Taeniopygia guttata": 59729,
    "Tupaia belangeri": 37347,
}


def _of_species_form(species: str | None) -> Iterator[Finding]:
    # Inspector, CRITICAL: check_subject_species_form.
    if species and not (_NAME.fullmatch(species) or species.startswith(_LINK)):
        message = f"The species {shown(species)} is neither a Latin name of two words nor a link."
        yield required("Subject.species", message, _link(species))


def _link(species: str) -> str:
    return f"{_LINK}{_TAXA.get(species, 'NUMBER')}"


def refused_by_upload(subject: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the findings of facts that pass ``dandi validate``, but not ``dandi upload``.

    Parameters
    ----------
    subject : Mapping
        Facts in forms that the NWB Inspector accepts; others have no findings here.
    """
    species, age = stated_text(subject.get("species")), stated_text(subject.get("age"))
    if species and _NAME.fullmatch(species):
        yield from _of_name(species, subject.get("sex"))
    # The age is counted from the date of birth where there is one.
    if age and subject.get("date_of_birth") is None:
        yield from _of_age(age)


def _of_name(species: str, sex: Any) -> Iterator[Finding]:
    read_as = next((name for each, name in _PREFIXES.items() if _begins(species, each)), None)
    if species == _WORM and sex in ("XX", "XO"):
        # Inspector: check_subject_sex accepts only these two for this name; dandi upload
        # (extract_sex) reads neither. With the link to the taxonomy, both accept O and M.
        message = f"DANDI's validation accepts only the sexes XX and XO of {species}, which its "
        message += "upload cannot read; give the link to the NCBI taxonomy, and 'O' or 'M'."
        yield required("Subject.species", message, _link(species))
        message = f"DANDI's upload cannot read the sex {sex}."
        yield required("Subject.sex", message, "O" if sex == "XX" else "M")
    elif species not in _READ and read_as:
        message = f"DANDI reads {shown(species)} as {read_as}; give the link to the NCBI taxonomy."
        yield advised("Subject.species", message, _link(species))
    elif species not in _READ:
        message = f"DANDI's upload does not know {shown(species)}; give the link to the NCBI "
        yield required("Subject.species", f"{message}taxonomy.", _link(species))


def _begins(text: str, start: str) -> bool:
    return text.lower().startswith(start)


# --- ages -----------------------------------------------------------------------------------------

_DAYS = {"Y": 365.25, "M": 30.44, "W": 7.0, "D": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([YMWD])")
_Parts = list[tuple[str, str]]


def _ends(age: str) -> list[_Parts]:
    """Return number and unit of the parts of an age, for each end of a range.

    An age with hours, which are too short for these units, has none.
    """
    return [] if "T" in age else [_PART.findall(end) for end in age.split("/")]


def _of_age_range(age: str | None) -> Iterator[Finding]:
    # Inspector, CRITICAL: check_subject_proper_age_range.
    ends = _ends(age or "")
    days = [sum(float(number) * _DAYS[unit] for number, unit in end) for end in ends]
    if len(ends) == 2 and all(ends) and days[0] >= days[1]:
        message = f"The age {shown(age)} is a range whose ends do not increase."
        yield required("Subject.age", message, "P3M/P4M")


def _of_age(age: str) -> Iterator[Finding]:
    # dandi upload: parse_age.
    ends = _ends(age)
    if any("." in number for end in ends for number, _ in end[:-1]):
        message = f"The age {shown(age)} has a fraction before its last number, which DANDI's "
        yield required("Subject.age", f"{message}upload cannot read.", "P45D")
    elif len(ends) == 2 and all(ends) and not _increases(*ends):
        message = f"The age {shown(age)} has ends in different units, which DANDI's upload cannot "
        yield required("Subject.age", f"{message}compare.", "P90D/P120D")


def _increases(low: _Parts, high: _Parts) -> bool:
    """Return whether DANDI, which compares number by number, finds that a range increases."""
    for (first, unit), (second, other) in zip(low, high, strict=False):
        if unit != other:
            return _DAYS[other] > _DAYS[unit]
        if float(first) != float(second):
            return float(second) > float(first)
    return True
