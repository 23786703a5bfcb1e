"""Addresses without what is secret in them: user, password, query, fragment.

Whatever is shown or kept (errors, logs, tables, checksums, the page) goes through here; only the
download itself sees an address as it was given.
"""

import re

HIDDEN = "***"
# lengths are bounded, so that no text takes long
_SCHEME = r"\b[A-Za-z][A-Za-z0-9+.-]{0,15}://"
_REST = r"""(?:[^\s'"<>]|['"](?![\s,.;:)\]}>]|$))"""
"""Of an address in a sentence: a quote behind it ends it."""
# a password may hold what ought to be escaped: then no port follows the colon
_USER = re.compile(
    rf"({_SCHEME})(?:[^\s/?#]{{0,999}}@"
    rf"|[^\s/?#@:]{{0,99}}:(?!\d{{1,5}}(?:[/?#\s'\"<>)]|$)){_REST}{{0,999}}@)"
)
_QUERY = re.compile(rf"({_SCHEME}[^\s?#'\"<>]{{0,2000}}[?#]){_REST}+")
# of an address that is told without its host, as urllib3 does
_BARE_QUERY = re.compile(
    rf"(\burl: [^\s?]{{0,2000}}\?|[^\s?#'\"<>]\?(?=[A-Za-z0-9_.~%-]{{1,99}}=)){_REST}+"
)


def without_secrets(text: str) -> str:
    """Hide users, passwords, queries and fragments of all addresses in a text.

    >>> without_secrets("https://me:hunter2@host/a.tgz?token=abc is to be had")
    'https://***@host/a.tgz?*** is to be had'
    """
    if "://" not in text and "?" not in text:
        return text
    found = _USER.sub(rf"\1{HIDDEN}@", text)
    for pattern in (_QUERY, _BARE_QUERY):
        found = pattern.sub(rf"\1{HIDDEN}", found)
    return found
