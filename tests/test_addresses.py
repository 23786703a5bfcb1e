"""No password or token of an address is shown or stored anywhere."""

import pickle

import pytest

from kc.errors import DownloadError, SettingsError, without_secrets
from kc.provenance import plain, product_key
from kc.settings.dataset import Dataset
from kc.settings.load import load_settings

HIDDEN = [
    ("https://me:hunter2@host/a.tgz", "https://***@host/a.tgz"),
    ("https://hunter2@host/a.tgz", "https://***@host/a.tgz"),
    ("HTTPS://me:hun@ter2@host", "HTTPS://***@host"),
    ("https://me:hun/ter2@host/x", "https://***@host/x"),
    ("https://me:hun?ter2@host/x", "https://***@host/x"),
    ("https://me:hun'ter2@host/x", "https://***@host/x"),
    ("https://host/a.tgz?token=hunter2", "https://host/a.tgz?***"),
    ("https://host/a?X-Amz-Signature=hunter2&x=1#y", "https://host/a?***"),
    ("https://host/a?hunter2", "https://host/a?***"),
    ("https://host/a#access_token=hunter2", "https://host/a#***"),
    ("s3://KEY:hunter2@bucket/x", "s3://***@bucket/x"),
    ("(got 'https://me:hunter2@host/x?sig=1')", "(got 'https://***@host/x?***')"),
    ("retries exceeded with url: /a.tar?sig=hunter2 (Caused", "url: /a.tar?*** (Caused"),
    ("retries exceeded with url: /a.tar?hunter2 (Caused", "url: /a.tar?*** (Caused"),
]
KEPT = [
    *("https://host:8080/a.tgz", "http://[::1]:80/x", "https://cdn.net/npm/pkg@1.0/x.tgz"),
    *("s3://bucket/prefix", "/data/a@b/x?y", "did you mean 'x'? Fix: a=5", "see https://x.org/a?"),
]


@pytest.mark.parametrize(("given", "told"), HIDDEN)
def test_users_passwords_and_queries_are_hidden(given, told):
    found = without_secrets(given)
    assert told in found
    assert "hunter2" not in found
    assert without_secrets(found) == found


@pytest.mark.parametrize("text", KEPT)
def test_addresses_without_secrets_are_unchanged(text):
    assert without_secrets(text) == text


def test_errors_and_their_chained_errors_show_no_secret():
    error = DownloadError("https://me:hunter2@host/a: no answer", 5)
    assert error.args == ("https://***@host/a: no answer", 5)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_provenance_of_settings_has_no_secret_and_is_valid_as_settings():
    about = {"archive": "/a.tgz", "url": "https://me:hunter2@host/a.tgz?sig=hunter2"}
    settings = load_settings({"datasets": {"birds": about}})
    told = plain(settings)
    assert told["datasets"]["birds"]["url"] == "https://***@host/a.tgz?***"
    assert "hunter2" not in str(plain({"a": [settings, ("https://u:hunter2@h/x",)]}))
    assert plain(load_settings(told)) == told
    # the download still uses it
    assert settings.downloads()[0][0] == about["url"]


def test_another_password_does_not_change_the_key():
    keys = {
        product_key({"dataset": Dataset(archive="/a", url=url)}, {}, "kc.images.rows")
        for url in ("https://me:one@host/a", "https://me:two@host/a", "https://host/b")
    }
    assert len(keys) == 2


@pytest.mark.parametrize(
    "raw",
    [
        {"datasets": {"birds": {"archive": "/a", "url": "https://me:hunter2@ho st/x"}}},
        {"datasets": {"birds": {"archive": "/a", "url": "ftp://me:hunter2@host/x"}}},
        {"datasets": {"birds": {"archive": "/a", "url": "https://me:hunter2@host:port/x"}}},
        {"datasets": {"birds": {"archive": "/a", "url": "me:hunter2@host/x"}}},
        {"datasets": {"birds": {"archive": "/a", "url": "https://host\\@x/hunter2"}}},
        {"datasets": {"birds": [f"https://me:{'hunter2' * 30}@host/x"]}},
        {"storage": {"root": "s3://KEY:hunter2@bucket/x"}},
        {"storage": "s3://KEY:hunter2@bucket/x"},
    ],
)
def test_a_refused_setting_shows_no_password(raw):
    with pytest.raises(SettingsError) as caught:
        load_settings(raw)
    assert "hunter2" not in str(caught.value)


def test_a_file_below_an_address_is_added_before_its_query():
    about = {
        "layout": "dogs",
        "archive": "/d",
        "url": "https://h/x/?sig=1",
        "files": {"a.tar": None},
    }
    settings = load_settings({"datasets": {"dogs": about}})
    assert settings.downloads()[0][0] == "https://h/x/a.tar?sig=1"


def test_bytes_of_a_name_that_are_not_utf8_are_escaped():
    told = str(SettingsError("/data/caf\udce9/é.png: no picture"))
    assert told == "/data/caf\\udce9/é.png: no picture"
    assert told.encode()
