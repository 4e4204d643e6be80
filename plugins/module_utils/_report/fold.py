# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many equal sentences become one: with a count, the first names, and the range of the figures that differ."""

from __future__ import annotations

import dataclasses
import re
import typing as t

# As warnings begin: what they are about, after the account where there are several.
_ABOUT = re.compile(
    r"(?P<lead>(?!stream |consumer )[^:]{1,120}?(?:: | > ))?"
    r"(?:(?P<stream>stream) (?P<name>\S+?)|(?P<consumer>consumer) (?P<owner>\S+) > (?P<own>\S+?))"
    r"(?P<colon>:?) (?P<rest>.+)",
    re.DOTALL,
)
# What follows these words is a name, also where it looks like a word.
_BEFORE_NAMES = frozenset(
    "account bucket consumer consumers domain from mirror named origin origins peer server servers set source sources"
    " stream streams subject subjects".split()
)
_PLAIN = re.compile(r"[A-Za-z]?[a-z'-]*|[a-z]+(?:_[a-z]+)+")
_EDGES = "'\"()[],;:."
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?")
_SLOT = "\0"
_NAMES = 5
_VALUES = 3
_WIDTH = 200
# Sentences that name no stream are folded only where there are as many.
_NAMELESS = 3


@dataclasses.dataclass
class _Kind:
    """Sentences that differ in names and figures only. C(slots): what each says where they may differ."""

    template: tuple[str, ...]
    lead: str
    noun: str
    colon: str
    texts: list[str]
    names: list[str]
    slots: list[tuple[str, ...]]


def fold(sentences: t.Iterable[str]) -> list[str]:
    """One sentence for each kind, in the order of the first of each; a sentence that is alone stays as it is."""
    kinds: dict[t.Hashable, _Kind] = {}
    for sentence in dict.fromkeys(sentences):
        lead, noun, name, colon, rest, own = _about(sentence)
        template, slots = _template(rest, own)
        key = (lead, noun, colon, template)
        kind = kinds.setdefault(key, _Kind(template, lead, noun, colon, [], [], []))
        kind.texts.append(sentence)
        kind.names.append(name)
        kind.slots.append(slots)
    return [text for kind in kinds.values() for text in _told(kind)]


def _about(sentence: str) -> tuple[str, str, str, str, str, dict[str, str]]:
    """Lead, noun, name, colon and rest of a sentence, and by what its own names are replaced in the rest."""
    found = _ABOUT.fullmatch(sentence)
    if not found:
        return "", "", "", "", sentence, {}
    lead, colon, rest = found["lead"] or "", found["colon"], found["rest"]
    if found["stream"]:
        return lead, "stream", found["name"], colon, rest, {found["name"]: "NAME"}
    name = f"{found['owner']} > {found['own']}"
    return lead, "consumer", name, colon, rest, {found["own"]: "NAME", found["owner"]: "STREAM"}


def _template(rest: str, own: t.Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of a text with names and figures taken out, and these; a list of names is one."""
    for name, stand_in in own.items():
        rest = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", stand_in, rest)
    words: list[str] = []
    slots: list[str] = []
    before, listing = "", False
    for word in rest.split():
        core = word.strip(_EDGES)
        odd = not _PLAIN.fullmatch(core) or _quoted(word)
        variable = bool(core) and (odd or before in _BEFORE_NAMES)
        if not variable:
            words.append(word)
        elif listing and odd:
            slots[-1] += f", {core}"
            words[-1] = words[-1].partition(_SLOT)[0] + _SLOT + word.partition(core)[2]
        else:
            slots.append(core)
            words.append(word.partition(core)[0] + _SLOT + word.partition(core)[2])
        listing = variable and word.endswith(",") and not core[0].isdigit()
        before = word.lower()
    return tuple(words), tuple(slots)


def _quoted(word: str) -> bool:
    return word[:1] in "'\"" and word.rstrip(",;:.)")[-1:] in "'\""


def _told(kind: _Kind) -> list[str]:
    count = len(kind.texts)
    if count == 1 or (not kind.noun and count < _NAMELESS):
        return kind.texts
    values = iter(zip(*kind.slots))
    rest = " ".join(word.replace(_SLOT, _between(next(values))) if _SLOT in word else word for word in kind.template)
    if not kind.noun:
        return [f"{count} times: {rest}"]
    return [f"{kind.lead}{count} {kind.noun}s ({_listing(kind.names, _NAMES)}){kind.colon} {rest}"]


def _between(values: t.Sequence[str]) -> str:
    """What stands where the sentences differ: the one value, the range of numbers, or the first values."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return distinct[0]
    if all(_NUMBER.fullmatch(value) for value in distinct):
        return f"{min(distinct, key=float)} to {max(distinct, key=float)}"
    if all(_TIME.fullmatch(value) for value in distinct):
        return f"{min(distinct)} to {max(distinct)}"
    return _listing(distinct, _VALUES)


def _listing(names: t.Sequence[str], most: int) -> str:
    """The first names, at least one, in a bounded width, and how many more there are."""
    distinct = list(dict.fromkeys(names))
    shown: list[str] = []
    for name in distinct[:most]:
        if shown and len(", ".join((*shown, name))) > _WIDTH:
            break
        shown.append(name if len(name) <= _WIDTH else f"{name[:_WIDTH]}...")
    more = len(distinct) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
