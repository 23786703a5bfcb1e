"""The errors a user can cause or meet: each says what, where, expected, got and the cure."""

from kc.addresses import without_secrets


class KCError(Exception):
    """Anything the user can mend. A traceback that is not a ``KCError`` is a bug of ours.

    No message shows a password or a token of an address.
    """

    def __init__(self, *about: object) -> None:
        super().__init__(*(without_secrets(a) if isinstance(a, str) else a for a in about))


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
