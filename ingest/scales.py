"""Words for scales beside digits ("12 Millionen", "3 тыс."), as powers of ten, by language (ISO 639-1)."""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH: Mapping[str, int] = {
    word: power
    for power, words in {3: "k thousand", 6: "m mn million", 9: "bn billion", 12: "tn trillion"}.items()
    for word in words.split()
}
_OTHERS: Mapping[str, Mapping[str, int]] = {
    language: {word: power for power, words in powers.items() for word in words.split()}
    for language, powers in {
        "de": {
            3: "tausend tsd",
            6: "million millionen mio",
            9: "milliarde milliarden mrd",
            12: "billion billionen bio",
        },
        "es": {3: "mil", 6: "millón millones mill", 9: "mil_millones", 12: "billón billones"},
        "fr": {3: "mille", 6: "million millions mio", 9: "milliard milliards md mds mrd", 12: "billion billions"},
        "ru": {
            3: "тысяча тысячи тысяч тысячу тысячам тысячами тысячах тыс",
            6: "миллион миллиона миллионов миллионам миллионами миллионах млн",
            9: "миллиард миллиарда миллиардов миллиардам миллиардами миллиардах млрд",
            12: "триллион триллиона триллионов триллионам триллионами триллионах трлн",
        },
        "uk": {
            3: "тисяча тисячі тисяч тисячу тисячам тисячами тисячах тис",
            6: "мільйон мільйона мільйони мільйонів мільйонам мільйонами мільйонах млн",
            9: "мільярд мільярда мільярди мільярдів мільярдам мільярдами мільярдах млрд",
            12: "трильйон трильйона трильйони трильйонів трильйонам трильйонами трильйонах трлн",
        },
        "ar": {
            3: "ألف ألفا ألفًا آلاف الف الاف",
            6: "مليون مليونا مليونًا ملايين",
            9: "مليار مليارا مليارًا مليارات",
            12: "تريليون تريليونا تريليونًا تريليونات",
        },
    }.items()
}
LANGUAGES = frozenset({"en", *_OTHERS})


def powers(language: str | None) -> Mapping[str, int]:
    """Words in small letters, of several with `_` between them → powers of ten. Every language may borrow the English
    ones; its own come first (a billion is none of Spain)."""
    return {**ENGLISH, **_OTHERS.get(language or "", {})}
