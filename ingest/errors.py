"""What can go wrong, by what to do next.

    SitrepError
    ├── UsageError         the caller asked for something that cannot be done: correct the call
    │   └── Missing        what was asked for by name is not there
    ├── SettingsError      a setting is missing or wrong: correct it
    ├── Unbalanced         a run's outcomes do not add up to what came in: a fault of Sitrep, report it
    ├── TryAgain           the fault passes: run the same thing again, nothing was lost
    │   ├── StoreGone      the store does not answer or cannot be written
    │   ├── LeaseLost      another publisher took over; this one must write nothing more
    │   └── LandingFault   the landing zone cannot be read or written (disk full, no right)
    └── GiveUp             this item is hopeless as it is: count it and go on
        ├── NotAnArchive   a path that holds no archive
        ├── NotAFeed       a document that is no feed
        └── Unparsable     parsing took more time or memory than any honest input takes

Expected outcomes of single entries are values (`models.Rejection`), not errors.
"""


class SitrepError(Exception):
    """Base of all errors that Sitrep raises on purpose.

    `subject` names what it is about (a path, a feed, a setting); `advice` says what to do next. Neither may hold a
    secret: they are logged and printed.
    """

    def __init__(self, message: str, *, subject: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.subject = subject
        self.advice = advice

    def __str__(self) -> str:
        head = f"{self.subject}: " if self.subject else ""
        tail = f" {self.advice}" if self.advice else ""
        return f"{head}{super().__str__()}{tail}"


class UsageError(SitrepError):
    """The caller asked for something that cannot be done."""


class Missing(UsageError):
    """What was asked for by name is not there: 404 on a page."""


class SettingsError(SitrepError):
    """A setting is missing or wrong."""


class Unbalanced(SitrepError):
    """A run's outcomes do not add up to what came in."""


class TryAgain(SitrepError):
    """The fault passes; the same work can be run again."""


class StoreGone(TryAgain):
    """The store does not answer or cannot be written."""


class LeaseLost(TryAgain):
    """Another publisher holds the lease now."""


class LandingFault(TryAgain):
    """The landing zone cannot be read or written."""


class GiveUp(SitrepError):
    """This item is hopeless as it is."""


class NotAnArchive(GiveUp):
    """A path that holds no archive."""


class NotAFeed(GiveUp):
    """A document that is no feed."""


class Unparsable(GiveUp):
    """Parsing took more time or memory than any honest input takes."""
