"""The errors a user can cause or meet: each says what, where, expected, got and the cure.

No message shows what is secret in an address; :func:`without_secrets` serves logs and tables too.
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


def _told(text: str) -> str:
    return without_secrets(text.encode("utf-8", "backslashreplace").decode())


class KCError(Exception):
    """Anything the user can mend. A traceback that is not a ``KCError`` is a bug of ours.

    No message shows a password or a token of an address; bytes of names that are no UTF-8 stand in
    it escaped, so that it can be written anywhere.
    """

    def __init__(self, *about: object) -> None:
        super().__init__(*(_told(a) if isinstance(a, str) else a for a in about))


class SettingsError(KCError):
    """A setting that is unknown, of the wrong type, or cannot be used with another."""


class ImageError(KCError):
    """An archive, a list or an image that cannot be read as its layout promises."""


class SourceError(KCError):
    """Files of the user's that cannot be read, or changed while they were."""


class DownloadError(KCError):
    """An archive that could not be fetched whole, or is not the one expected."""


class NetworkError(KCError):
    """An unknown network or node, or weights that do not fit."""


class StoreError(KCError):
    """A store that is damaged, incomplete, locked, or does not match another."""


class FeatureError(KCError):
    """Features that g cannot work with: wrong shapes, not finite, too few."""


class DeviceError(KCError):
    """A device was asked for that this machine does not have."""


class RoomError(KCError):
    """A disk that is too small for what was asked."""
