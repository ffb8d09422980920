"""Versions of what makes stories of bytes. Changing one makes digesting again do its work again."""

CLEANER = "6"  # of `ingest.clean`: changes when the same page gives another text, title, date or author
