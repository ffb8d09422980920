"""Languages by ISO 639-1: which codes there are, and the code in what systems write for one."""

from __future__ import annotations

import re

_CODES = """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
    es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
    ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
    no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta
    te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
ISO_639_1 = frozenset(_CODES.split())  # as of 2024
UNKNOWN = "und"  # by ISO 639-2: not determined

_SPELLED_OTHERWISE = {
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "jw": "jv",
    "mo": "ro",
    "ua": "uk",
    "cn": "zh",
    "jp": "ja",
    "nb": "no",
    "nn": "no",
}
_CODE = re.compile(r"([a-z]{2})(?:[-_][a-z0-9_-]{1,20})?(?:$|[,;\s.@])", re.I)


def code(stated: str | None) -> str | None:
    """`en-GB`, `uk_UA.UTF-8` … as ISO 639-1; None for what is no language."""
    match = _CODE.match((stated or "").strip()[:40])
    if match is None:
        return None
    found = match[1].lower()
    found = _SPELLED_OTHERWISE.get(found, found)
    return found if found in ISO_639_1 else None
