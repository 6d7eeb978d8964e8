"""Terms of the Allen Mouse Brain Common Coordinate Framework (CCF), for places in mouse brains.

The table beside this file has the acronyms and names of the Allen Mouse Brain Atlas, structure
graph 1, in the order of its tree: 1,327 structures, the layers of cortical areas included. Both an
acronym and a name are terms, in exactly this spelling.
"""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import re
from collections.abc import Iterable, Mapping

_TABLE = "allen_ccf.tsv"
_MOST = 3
_LONGEST = 200


@functools.cache
def _structures() -> dict[str, str]:
    """Return the name of each structure by its acronym."""
    table = importlib.resources.files("nwb_ophys.metadata").joinpath(_TABLE)
    _, *rows = table.read_text(encoding="utf-8").splitlines()
    return dict(row.split("\t") for row in rows)


@functools.cache
def _by_folded_text() -> Mapping[str, str]:
    """Return the acronym by each acronym and each name without regard to case; acronyms win."""
    structures = _structures()
    names = {name.casefold(): acronym for acronym, name in structures.items()}
    return names | {acronym.casefold(): acronym for acronym in reversed(structures)}


def is_term(text: str) -> bool:
    """Return whether a text is an acronym or a name of the Allen CCF.

    Parameters
    ----------
    text : str
    """
    structures = _structures()
    return text in structures or text in structures.values()


def suggested_terms(text: str) -> list[tuple[str, str]]:
    """Return the terms that a text may mean, the likeliest first.

    Parameters
    ----------
    text : str
        Such as ``V1``, ``barrel cortex`` or ``left CA1, layer 2/3``.

    Returns
    -------
    list of (str, str)
        Acronym and name of at most three structures; empty where nothing is like the text.
    """
    structures = _structures()
    place, layer = _without_layer(text[:_LONGEST].casefold())
    found = list(dict.fromkeys(_acronyms_of(place)))
    if layer:
        found = [f"{each}{layer}" for each in found if f"{each}{layer}" in structures] or found
    return [(acronym, structures[acronym]) for acronym in found[:_MOST]]


_LAYER = re.compile(r"\b(?:layers?|l)[\s-]*([1-6][ab]?(?:\s*[/-]\s*[1-6][ab]?)?)\b")
_SIDES = re.compile(r"\b(?:left|right|bilateral|unilateral|lh|rh|hemispheres?)\b")


def _without_layer(text: str) -> tuple[str, str]:
    """Return a text in lower case without sides and layer, and the layer as the CCF spells it."""
    found = _LAYER.search(text)
    layer = re.sub(r"\s", "", found[1]).replace("-", "/") if found else ""
    rest = _SIDES.sub(" ", _LAYER.sub(" ", text))
    return " ".join(re.sub(r"[\s,;()_]+", " ", rest).split()), layer


def _acronyms_of(place: str) -> Iterable[str]:
    """Yield acronyms of structures that a text in lower case may mean, the likeliest first."""
    exact = [*_COMMON.get(place, "").split(), *_folded(place)]
    if exact:
        yield from exact
        return
    yield from _of_phrases(place)
    yield from _of_words(place)
    for close in difflib.get_close_matches(place, [*_COMMON, *_by_folded_text()], _MOST, 0.8):
        yield from _COMMON.get(close, "").split() or _folded(close)


def _folded(text: str) -> list[str]:
    found = _by_folded_text().get(text)
    return [found] if found else []


def _of_phrases(place: str) -> Iterable[str]:
    """Yield the structures of the names that are in a text, the longest names first."""
    rest = f" {re.sub('[^a-z0-9-]+', ' ', place)} "
    for phrase in sorted(_COMMON, key=len, reverse=True):
        if f" {phrase} " in rest and phrase not in _PLAIN_WORDS:
            rest = rest.replace(f" {phrase} ", "  ")
            yield from _COMMON[phrase].split()
    for word in rest.split():
        if len(word) > 2:
            yield from _folded(word)


_PLAIN_WORDS = {
    "and",
    "area",
    "areas",
    "brain",
    "cortex",
    "cortical",
    "deep",
    "depth",
    "region",
    "the",
}
_STEM = 6


def _of_words(place: str) -> list[str]:
    """Return the structures whose names have all words of a text, the shortest names first."""
    wanted = set(re.findall(r"[a-z][a-z0-9]{2,}", place)) - _PLAIN_WORDS
    if not wanted:
        return []
    found = []
    for acronym, name in _structures().items():
        words = re.findall(r"[a-z0-9]+", name.casefold())
        if all(any(word.startswith(each[:_STEM]) for word in words) for each in wanted):
            found.append((len(words), acronym))
    return [acronym for _, acronym in sorted(found, key=lambda pair: pair[0])]


# Other names that are in use for structures, in lower case, with the acronyms of the CCF.
_COMMON: Mapping[str, str] = {
    "v1": "VISp",
    "primary visual cortex": "VISp",
    "striate cortex": "VISp",
    "visual cortex": "VIS VISp",
    "v2": "VISl VISpm VISam",
    "secondary visual cortex": "VISl VISpm VISam",
    "higher visual areas": "VISl VISal VISpm",
    "al": "VISal",
    "am": "VISam",
    "li": "VISli",
    "lm": "VISl",
    "pm": "VISpm",
    "por": "VISpor",
    "rl": "VISrl",
    "m1": "MOp",
    "primary motor cortex": "MOp",
    "m2": "MOs",
    "alm": "MOs",
    "anterior lateral motor cortex": "MOs",
    "anterolateral motor cortex": "MOs",
    "premotor cortex": "MOs",
    "secondary motor cortex": "MOs",
    "motor cortex": "MO MOp MOs",
    "s1": "SSp",
    "primary somatosensory cortex": "SSp",
    "s1bf": "SSp-bfd",
    "barrel": "SSp-bfd",
    "barrel cortex": "SSp-bfd",
    "barrel field": "SSp-bfd",
    "vs1": "SSp-bfd",
    "ws1": "SSp-bfd",
    "s1fl": "SSp-ul",
    "s1hl": "SSp-ll",
    "s2": "SSs",
    "secondary somatosensory cortex": "SSs",
    "somatosensory cortex": "SS SSp SSs",
    "a1": "AUDp",
    "primary auditory cortex": "AUDp",
    "a2": "AUDv AUDd",
    "auditory cortex": "AUD AUDp",
    "ppc": "PTLp VISa VISrl",
    "posterior parietal cortex": "PTLp VISa VISrl",
    "parietal cortex": "PTLp",
    "rsc": "RSP RSPd RSPv",
    "retrosplenial cortex": "RSP RSPd RSPv",
    "acc": "ACA ACAd ACAv",
    "cingulate cortex": "ACA",
    "pfc": "PL ILA ACA",
    "mpfc": "PL ILA ACA",
    "prefrontal cortex": "PL ILA ACA",
    "medial prefrontal cortex": "PL ILA ACA",
    "prl": "PL",
    "il": "ILA",
    "ofc": "ORB ORBl ORBm",
    "orbitofrontal cortex": "ORB ORBl ORBm",
    "insula": "AI AId AIv",
    "insular cortex": "AI GU VISC",
    "gustatory cortex": "GU",
    "piriform cortex": "PIR",
    "lec": "ENTl",
    "mec": "ENTm",
    "entorhinal cortex": "ENT ENTl ENTm",
    "lateral entorhinal cortex": "ENTl",
    "medial entorhinal cortex": "ENTm",
    "cortex": "CTX Isocortex",
    "neocortex": "Isocortex",
    "hippocampus": "HIP HPF CA1",
    "hpc": "HIP HPF",
    "dca1": "CA1",
    "dhpc": "HIP CA1",
    "dorsal hippocampus": "HIP CA1",
    "ob": "MOB",
    "olfactory bulb": "MOB",
    "olfactory cortex": "OLF PIR",
    "str": "STR CP",
    "dms": "CP",
    "dls": "CP",
    "dorsal striatum": "CP STRd",
    "caudate putamen": "CP",
    "cpu": "CP",
    "nac": "ACB",
    "ventral striatum": "ACB STRv",
    "amygdala": "sAMY BLA CEA",
    "lgn": "LGd LGv",
    "dlgn": "LGd",
    "lateral geniculate nucleus": "LGd LGv",
    "pulvinar": "LP",
    "lateral hypothalamus": "LHA",
    "pvn": "PVH",
    "superior colliculus": "SCs SCm",
    "sc": "SCs SCm",
    "substantia nigra": "SNr SNc",
    "sn": "SNr SNc",
    "dorsal raphe": "DR",
    "drn": "DR",
    "locus coeruleus": "LC",
    "cerebellar cortex": "CBX",
    "crus i": "ANcr1",
    "crus ii": "ANcr2",
    "vermis": "VERM",
}
