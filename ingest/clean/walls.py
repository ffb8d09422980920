"""Pages that a server gives with status 200 and that are no story: errors, tests for robots, consent walls.

Named only where title and length agree: a story may be called "Access denied", but then it has text.
"""

from __future__ import annotations

import re

_MOST_TEXT = 1_000  # characters; the longest walls measured explain themselves in 800
_SITE = re.compile(r"\s[|–—-]\s.{0,40}")  # what stands behind it is the site's name
# Patterns of titles as words in lower case, one blank between two.
_SAID = r"""(?:page|file|article)?[ ]?(?:not[ ]found|could[ ]not[ ]be[ ]found|no[ ]longer[ ](?:exists|available))
    | forbidden | access[ ]denied | (?:internal[ ])?server[ ]error | service[ ](?:temporarily[ ])?unavailable
    | bad[ ]gateway | gateway[ ]time-?out | too[ ]many[ ]requests
    | (?:seite|artikel)[ ]nicht[ ]gefunden | (?:page|article)[ ](?:introuvable|non[ ]trouvée?)
    | página[ ]no[ ]encontrada | página[ ]não[ ]encontrada | pagina[ ]non[ ]trovata
    | страница[ ]не[ ]найдена | сторінк[ау][ ]не[ ]знайдено"""
_ERROR = rf"(?:error[ ])?(?:(?:40[0-9]|410|50[0-9])(?:[ ](?:{_SAID}))?|{_SAID})"
_ROBOT = r"""just[ ]a[ ]moment | attention[ ]required | are[ ]you[ ](?:a[ ]robot|human) | robot[ ]check
    | (?:please[ ])?verify(?:ing)?[ ](?:that[ ])?you[ ]are[ ](?:a[ ])?human | checking[ ]your[ ]browser
    | access[ ]to[ ]this[ ]page[ ]has[ ]been[ ]denied | security[ ]check | ddos-guard"""
_CONSENT = r"""before[ ]you[ ]continue(?:[ ]to[ ].{1,40})? | we[ ]value[ ]your[ ]privacy | your[ ]privacy[ ]choices
    | (?:cookie|privacy)[ ](?:consent|settings|preferences) | cookie-einstellungen | datenschutzeinstellungen
    | consentement | gestion[ ]des[ ]cookies | .{1,40}[ ]is[ ]part[ ]of[ ]the[ ].{1,40}[ ]family[ ]of[ ]brands"""
_KINDS = {
    name: re.compile(pattern, re.VERBOSE)
    for name, pattern in (("robot-check", _ROBOT), ("consent-wall", _CONSENT), ("error-page", _ERROR))
}


def kind(title: str | None, text: str) -> str | None:
    """`error-page`, `robot-check` or `consent-wall`; None: nothing says that it is no story."""
    if not title or len(text) > _MOST_TEXT:
        return None
    cut = next((found.start() for found in _SITE.finditer(title) if found.end() == len(title)), len(title))
    said = " ".join(re.findall(r"[\w-]+", title[:cut])).lower()
    return next((name for name, pattern in _KINDS.items() if pattern.fullmatch(said)), None)
