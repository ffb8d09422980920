"""Lines that are no part of a story, by what they say, in the languages of the news."""

from __future__ import annotations

import re

# Beginnings of short lines that lead on, credit, or are the site's own.
OWN = re.compile(
    r"""\W*(?:
    read[ ](?:more|also|next) | also[ ]read | see[ ]also | related(?:[ ](?:articles?|stories|content|posts))?\b
    | more[ ](?:on|from)\b | advertisement | adverti[sz]ing | sign[ ]up | subscribe | follow[ ]us
    | share[ ](?:this|on)\b | click[ ]here | photo(?:graph)?s?(?:[ ]by\b|:) | image(?:[ ]credit)?:
    | credit: | sources?: | © | copyright
    | \(?reporting[ ]by | \(?editing[ ]by | additional[ ]reporting
    | this[ ](?:article|story)[ ](?:was[ ]|is[ ])?(?:originally|first|appeared|published) | originally[ ]published
    | (?:get|join|receive)\b.{0,80}\bnewsletters?\b
    | don.t[ ]miss\W*$ | thank(?:s|[ ]you)[ ]for[ ](?:signing|subscribing) | your[ ]subscription[ ](?:has|is)\b
    | like[ ]what[ ]you.re[ ](?:reading|seeing)\b | please[ ](?:use|enable|upgrade)[ ].{1,40}\b(?:browser|javascript)
    | skip[ ](?:past|to)\b | social[ ]sharing\b
    | (?:we|our[ ](?:editors|team)|editors[ ]and[ ]writers)[ ](?:have[ ])?independently[ ]
    (?:select|evaluate|review|choose)
    | comments[ ]on[ ]this[ ](?:article|story|piece)\b
    | watch(?:[ ]now|:) | listen(?:[ ]now|:) | download[ ](?:the|our) | join[ ](?:the|our)[ ]
    | (?:last[ ])?updated\b | published\b | if[ ]you[ ](?:purchase|buy|click) | we[ ]may[ ](?:earn|receive|get)
    | (?:story|article)[ ]continues | loading\b | disclaimer\b | correction: | editor.s[ ]note
    | werbung | anzeige | lesen[ ]sie[ ]auch | mehr[ ]zum[ ]thema
    | (?:à[ ])?lire[ ]aussi | publicité | publicidad | lee[ ]también | leia[ ](?:mais|também) | leggi[ ]anche
    | читайте[ ]также | читайте[ ]також
    | follow[ ][^.]{1,60}[ ]coverage\b | by[ ](?:signing[ ]up|subscribing|submitting)[ ] | required[ ]reading\b
    | try[ ]refreshing[ ]your[ ] | this[ ]field[ ]is[ ]for[ ] | \(?(?:本文)?来源[：:] | \(本文来源
    )""",
    re.I | re.VERBOSE,
)
# What those write who reserve rights, anywhere in a block.
_RIGHTS = (
    "all rights reserved", "alle rechte vorbehalten", "tous droits réservés",
    "todos los derechos reservados", "todos os direitos reservados", "tutti i diritti riservati",
    "wszelkie prawa zastrzeżone", "все права защищены", "всі права захищені",
    "may not be published", "may not be reproduced", "版权所有", "版權所有", "未经授权", "未經授權", "請勿擅自",
    "转载请注明", "无断转载", "無断転載", "免责声明", "免責聲明", "并不意味着赞同", "不代表本",
)  # fmt: skip
_COPYRIGHT = re.compile(r"©\s*(?:\d{4}|[A-Z])|(?:\([cC]\)|[cC]opyright|COPYRIGHT)\s*(?:©|\d{4})")


_OF_ASCII = tuple(filter(str.isascii, _RIGHTS))
_COPYRIGHTS = ("©", "copyright", "(c)")


def reserves_rights(text: str) -> bool:
    """Whether it is a notice of copyright."""
    lowered = text.casefold()
    if _holds(lowered, _OF_ASCII if lowered.isascii() else _RIGHTS):
        return True
    return _holds(lowered, _COPYRIGHTS) and _COPYRIGHT.search(text) is not None


def _holds(text: str, any_of: tuple[str, ...]) -> bool:
    """Whether one of these stands in it; every block of a page is asked, so it is a loop."""
    for words in any_of:  # noqa: SIM110 - any() takes twice as long
        if words in text:
            return True
    return False


# What sites say for themselves, anywhere in a paragraph: of newsletters, of what links earn them, of what must be paid
# for or agreed to, of mistakes to be reported; and the words of which one stands in each.
_FOR_ITSELF = re.compile(
    r"""\b(?:get|receive|delivered|sent|straight|direct|daily|weekly|every)\b.{0,120}\b(?:in|to)[ ]your[ ]inbox\b
    | \bnewsletter\b.{0,120}\b(?:abonnier|anmeld|informier|bestell|subscribe\b|sign[ ]up\b|inscri|iscri|suscr|zapis)
    | \b(?:abonnier|anmeld|subscribe[ ]to\b|sign[ ]up\b|inscri|iscri|suscr|zapis).{0,80}\bnewsletter
    | \b(?:contains?|includes?|sind|enthält|enthalten)\b.{0,30}\baffiliate[- ]?links?\b
    | \b(?:earn|receive|get|make)s?[ ](?:(?:us|an?|small|little|affiliate|referral|sales)[ ]){0,4}commissions?\b
    | \bréservée?s?[ ]aux[ ]abonnés | \bil[ ]vous[ ]reste[ ].{1,12}[ ]à[ ]lire | 会員限定
    | \bctrl\s?\+\s?enter\b | \bthis[ ]content[ ]is[ ](?:hosted|provided)[ ]by\b
    """,
    re.I | re.VERBOSE,
)
_OF_ITSELF = (
    "inbox", "newsletter", "affiliate", "commission", "abonné", "il vous reste", "会員限定", "ctrl", "this content is",
)  # fmt: skip
_LONGEST_OF_ITSELF = 500
# What stands in German in place of what another site shows; it is longer.
_EMBEDDED = re.compile(r"personenbezogenen? daten.{0,200}dritt|(?:eingebettet|extern).{0,200}personenbezogen", re.I)
_LONGEST_EMBEDDED = 1_000


def speaks_for_the_site(text: str) -> bool:
    """Whether a paragraph tells nothing of the story, but what the site offers, earns or asks."""
    lowered = text.casefold()
    if len(text) < _LONGEST_OF_ITSELF and _holds(lowered, _OF_ITSELF) and _FOR_ITSELF.search(text):
        return True
    return "personenbezogen" in lowered and len(text) < _LONGEST_EMBEDDED and _EMBEDDED.search(text) is not None


# Headings of what follows a story.
ONWARD = re.compile(
    r"""\W*(?:
    related\b | you[ ](?:might|may) | more[ ](?:from|on|stories|news|articles|like|in)\b | read[ ](?:more|next|also)
    | recommended | comments?\b | leave[ ]a[ ](?:comment|reply) | about[ ](?:the[ ]authors?|us) | see[ ]also
    | what[ ]to[ ]read[ ]next | latest\b | trending | popular | most[ ](?:read|popular|viewed) | keep[ ]reading
    | follow\b | share\b | sign[ ]up | subscribe | newsletter | references\b | sources?$ | further[ ]reading | notes$
    | footnotes | author\b | post[ ]navigation
    | mehr[ ]zum | weitere[ ] | lesen[ ]sie | das[ ]könnte | auch[ ]interessant | kommentare | über[ ]den[ ]autor
    | à[ ]lire | lire[ ]aussi | sur[ ]le[ ]même | articles?[ ](?:liés|similaires) | les[ ]plus[ ]lus | commentaires
    | relacionad | te[ ]puede | (?:artículos|noticias)[ ]relacionad | lee[ ]también | más[ ](?:sobre|noticias)
    | você[ ]pode | (?:veja|leia)[ ](?:mais|também)
    | leggi[ ]anche | potrebbe[ ]interessart | ti[ ]potrebbe | articoli[ ]correlati | commenti
    | похожие | читайте | другие[ ](?:новости|материалы) | комментари | (?:материалы[ ])?по[ ]теме | інші | коментар
    | 相关 | 相關 | 推荐 | 推薦 | 其他 | 最新 | 延伸 | 関連 | おすすめ | コメント
    | σχετικ | διαβάστε | zobacz | czytaj | przeczytaj | polecamy | komentarze | powiązane
    | lees[ ](?:ook|meer) | reacties | läs[ ](?:mer|också) | les[ ]også | lue[ ]myös | ilgili | ayrıca
    )""",
    re.I | re.VERBOSE,
)
# What the last paragraphs of a story's element say about who wrote it, and about the site.
_SIGNATURE = re.compile(
    r"""\W*(?:
    (?:you[ ]can[ ]|please[ ])?(?:email|reach|contact)[ ].{0,60}@
    | more[ ]information: | (?:tags?|topics|filed[ ]under|categories|keywords)\b
    | want[ ](?:more|to[ ](?:know|read|learn|hear|get|stay|join|submit|support|help[ ]us)|the[ ]latest)\b.{0,80}\?
    | don.t[ ]miss\b
    | (?:the[ ])?(?:author|autor(?:in)?|l.auteur)[ ](?:is|ist|est)\b
    | [^.]{3,60}[ ]is[ ](?:an?|the)[ ](?:[\w-]+[ ]){0,3}?
    (?:reporter|writer|journalist|editor|correspondent|columnist|contributor|author)\b
    )""",
    re.I | re.VERBOSE,
)
# The same, anywhere in a paragraph; and the words of which one stands in each.
_SIGNATURE_INSIDE = re.compile(
    r"""(?:can|may)[ ]be[ ]reached[ ](?:at|on|by|via)
    | follow[ ](?:him|her|them|me|us|@|.{1,40}[ ]on[ ](?:twitter|x|facebook|instagram)\b)
    | contributed[ ]to[ ]this[ ](?:report|story|article)
    | sign[ ]up[ ](?:for|to|here|now|today) | (?:our|free|daily|weekly)[ ](?:[\w-]+[ ])?newsletter
    | make[ ]a[ ]purchase | affiliate
    """,
    re.I | re.VERBOSE,
)
_OF_SIGNATURES = ("reached", "follow", "contributed", "sign up", "newsletter", "purchase", "affiliate")


def is_signature(text: str) -> bool:
    """Whether one of the last paragraphs says who wrote the story, or speaks for the site."""
    inside = _holds(text.casefold(), _OF_SIGNATURES) and _SIGNATURE_INSIDE.search(text) is not None
    return inside or _SIGNATURE.match(text) is not None


# Names of elements that hold a standfirst.
STANDFIRST = re.compile(
    r"""sub-?(?:title|head|hed) | dek | deck | lead | lede | intro | excerpt | desc | summary | standfirst | strap
    | synopsis | abstract | kicker-?text | chapo | entradilla | ingress | preamble | teaser | sommario | sumario
    | vorspann | bajada | copete | highlight
    """,
    re.I | re.VERBOSE,
)
