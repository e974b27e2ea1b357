"""The file of trusted EHRs: what it may say, and what is refused at the start."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from cds_service.errors import ConfigError
from cds_service.trust.issuers import load_issuers
from cds_service.trust.records import Issuer
from tests.trust.ehr import Key

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://ehr.example/keys"


class File:
    """An issuers file.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, content: Any, *, name: str = "issuers.json", **given: Any) -> tuple[Issuer, ...]:
        """Its issuers; a text is written as it is."""
        path = self.folder / name
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return load_issuers(path, **given)

    def error(self, content: Any, **given: Any) -> str:
        """Why it is refused, in one line."""
        with pytest.raises(ConfigError) as caught:
            self.load(content, **given)
        text = str(caught.value)
        assert "\n" not in text
        name = given.get("name", "issuers.json")
        return text.removeprefix(f"{self.folder / name}: ")


@pytest.fixture
def file(tmp_path: Path) -> File:
    """An issuers file."""
    return File(tmp_path)


def record(**fields: Any) -> dict[str, Any]:
    """A record; None takes a field out."""
    good = {"iss": "https://ehr.example/fhir", "jwks_url": URL}
    return {name: value for name, value in (good | fields).items() if value is not None}


# --- What it may say ----------------------------------------------------------------------------


def test_a_record_in_full(file: File) -> None:
    """As docs/trust.md shows it."""
    found = file.load(
        """
issuers:
  - iss: https://ehr.example.org/fhir
    name: st-elsewhere
    jwks_url: https://ehr.example.org/keys
    jku: [https://ehr.example.org/keys, https://old.example.org/keys]
    tenants: [oncology]
    fhir_servers: [https://EHR.example.org:443/fhir/]
    client_id: net-retreat
    algorithms: [ES384]
    shadow: true
    enabled: false
""",
        name="issuers.yaml",
    )

    expected = Issuer(
        iss="https://ehr.example.org/fhir",
        name="st-elsewhere",
        jwks_url="https://ehr.example.org/keys",
        jku=("https://ehr.example.org/keys", "https://old.example.org/keys"),
        tenants=("oncology",),
        fhir_servers=("https://ehr.example.org/fhir",),
        client_id="net-retreat",
        algorithms=("ES384",),
        shadow=True,
        enabled=False,
    )
    assert (expected,) == found


def test_what_a_record_leaves_out(file: File) -> None:
    """Its keys' address is the only one that tokens may name; the servers are the service's."""
    expected = Issuer(
        iss="https://ehr.example/fhir",
        name="ehr.example-fhir",
        jwks_url=URL,
        jku=(URL,),
        fhir_servers=("https://shared.example/fhir",),
    )

    assert (expected,) == file.load([record()], fhir_servers=("https://shared.example/fhir",))


@pytest.mark.parametrize(
    "content",
    [
        [record()],
        {"issuers": [record()]},
        {"issuers": {"https://ehr.example/fhir": {"jwks_url": URL}}},
        {"https://ehr.example/fhir": {"jwks_url": URL}},
        {"https://ehr.example/fhir": URL},
        record(),
        [{"issuer": "https://ehr.example/fhir", "jwksUrl": URL}],
        [{"Issuer": "https://ehr.example/fhir", "jwks_uri": URL}],
        [{"iss": "https://ehr.example/fhir", "jwks-url": URL}],
        [{"iss": "https://ehr.example/fhir", "jwks": URL}],
    ],
)
def test_the_spellings_that_sites_use(file: File, content: Any) -> None:
    """A list, a mapping, one record; names as other documents write them."""
    (found,) = file.load(content)

    assert ("https://ehr.example/fhir", URL) == (found.iss, found.jwks_url)
    assert (found,) == file.load(content, name="issuers.yaml")


def test_further_spellings(file: File, ec_key: Key) -> None:
    """One value stands for a list of one."""
    (found,) = file.load(
        [
            {
                "iss": "https://ehr.example",
                "label": "a",
                "key": ec_key.public,
                "fhirServer": "https://ehr.example/fhir",
                "tenant": "t",
                "clientId": "c",
                "alg": "ES384",
                "jku": URL,
            }
        ]
    )

    assert ("a", ("https://ehr.example/fhir",), ("t",)) == (
        found.name,
        found.fhir_servers,
        found.tenants,
    )
    assert ("c", ("ES384",), (URL,)) == (found.client_id, found.algorithms, found.jku)


@pytest.mark.parametrize("name", ["keys", "jwks"])
@pytest.mark.parametrize("form", ["list", "set"])
def test_keys_in_the_record(file: File, ec_key: Key, rsa_key: Key, name: str, form: str) -> None:
    """As a list, or as the set that a JWKS address gives; no address is then expected of tokens."""
    keys = [ec_key.public, rsa_key.public]

    (found,) = file.load(
        [record(jwks_url=None) | {name: {"keys": keys} if form == "set" else keys}]
    )

    assert (tuple(keys), None, ()) == (found.keys, found.jwks_url, found.jku)


def test_null_is_as_good_as_nothing(file: File, ec_key: Key) -> None:
    """A key that is written without a value."""
    (found,) = file.load(
        [record(keys=[ec_key.public]) | {"jwks_url": None, "fhir_servers": None, "tenants": None}],
        fhir_servers=("https://shared.example/fhir",),
    )

    assert ((ec_key.public,), ("https://shared.example/fhir",), None) == (
        found.keys,
        found.fhir_servers,
        found.tenants,
    )


def test_no_server_at_all_may_be_read(file: File) -> None:
    """An empty list is a list: prefetch only, whatever the service's own list says."""
    (found,) = file.load([record(fhir_servers=[])], fhir_servers=("https://shared.example/fhir",))

    assert () == found.fhir_servers


@pytest.mark.parametrize(
    ("iss", "name"),
    [
        ("https://ehr.example/a/b/", "ehr.example-a-b"),
        ("https://ehr.example:8443", "ehr.example-8443"),
        ("st elsewhere", "st-elsewhere"),
        ("\u00e4", "issuer"),
        ("open", "issuer-open"),
        ("https://" + "a" * 200, "a" * 90),
    ],
)
def test_a_name_of_its_own(file: File, iss: str, name: str) -> None:
    """Made of the ``iss``, so that log, metrics and switch have one."""
    (found,) = file.load([record(iss=iss)])

    assert name == found.name


def test_plain_http_within_this_machine(file: File) -> None:
    """Nobody else can read it; elsewhere only if the operator says so."""
    local = record(jwks_url="http://127.0.0.1:9000/keys", fhir_servers=["http://localhost/fhir"])
    remote = record(jwks_url="http://ehr.example/keys", fhir_servers=["http://ehr.example/fhir"])

    assert file.load([local])
    assert file.load([remote], allow_plain_http=True)


# --- What is refused ----------------------------------------------------------------------------

TITLE = "issuer 1 (https://ehr.example/fhir)"
BASES = "must be FHIR base URLs such as https://ehr.example.org/fhir"
KIND = "is neither EC on P-384 (ES384) nor RSA (RS384)"
PLAIN = "must be https; CDS_ALLOW_PLAIN_HTTP=true allows http outside this machine"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"jwks_url": None}, "needs jwks_url or keys, and not both"),
        ({"jwks_url": None, "keys": []}, "needs jwks_url or keys, and not both"),
        ({"jwks_url": "http://ehr.example/keys"}, f"jwks_url: {PLAIN}"),
        ({"jwks_url": "https://user@ehr.example/keys"}, "jwks_url: must be an https URL"),
        ({"jwks_url": "https://ehr.example/keys#x"}, "jwks_url: must be an https URL"),
        ({"jwks_url": "https://ehr.example/keys?a#x"}, "jwks_url: must be an https URL"),
        ({"jwks_url": "file:///etc/passwd"}, "jwks_url: must be an https URL"),
        ({"fhir_servers": ["http://ehr.example/fhir"]}, f"fhir_servers: {PLAIN}"),
        ({"fhir_servers": ["ehr.example/fhir"]}, "fhir_servers: must be FHIR base URLs such as"),
        ({"fhir_servers": ["https://ehr.example/fhir?x"]}, "fhir_servers: must be FHIR base URLs"),
        ({"algorithms": []}, "algorithms: "),
        ({"algorithms": ["HS256"]}, "algorithms.0: Input should be 'ES384' or 'RS384'"),
        ({"algorithms": ["none"]}, "algorithms.0: Input should be 'ES384' or 'RS384'"),
        ({"tennants": ["a"]}, "tennants: is not known"),
        ({"tenants": [1]}, "tenants.0: Input should be a valid string"),
        ({"tenants": [""]}, "tenants.0: String should have at least 1 character"),
        ({"name": "a b"}, "name: must be 1 to 100 letters"),
        ({"name": ""}, "name: must be 1 to 100 letters"),
        ({"name": "open"}, "name: stands for something else"),
        ({"shadow": "perhaps"}, "shadow: Input should be a valid boolean"),
        ({"jwksUrl": URL}, "says jwks_url twice"),
        ({"issuer": "https://b.example"}, "says iss twice"),
    ],
)
def test_a_record_that_is_wrong(file: File, fields: dict[str, Any], message: str) -> None:
    """The line names file, record and key; a restriction with a slip in it is none."""
    assert file.error([record(**fields)]).startswith(f"{TITLE}: {message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"jwks_url": URL}], "issuer 1: iss: Field required"),
        ([record(iss=7)], "issuer 1: iss: Input should be a valid string"),
        ([record(iss="")], "issuer 1 (): iss: String should have at least 1 character"),
        (["https://ehr.example"], "issuer 1: must be a mapping with iss and jwks_url or keys"),
        ({"https://ehr.example": 7}, "issuer 1: must be a mapping with iss and jwks_url or keys"),
        ([], "names no issuer"),
        ({}, "names no issuer"),
        ({"issuers": None}, "names no issuer"),
        ({"issuers": [record()], "more": 1}, "has something beside issuers"),
        ("7", "must be a list of issuers"),
        ("{", "is not JSON, or says something twice (line 1)"),
        (
            '[{"iss": "a",\n"jwks_url": "b"},\n ZZKEY]',
            "is not JSON, or says something twice (line 3)",
        ),
        ('{"iss": "a", "iss": "b"}', "is not JSON, or says something twice"),
        ("[" * 100_000, "is not JSON, or says something twice"),
    ],
)
def test_a_file_that_is_wrong(file: File, content: Any, message: str) -> None:
    """In one line, whatever it is."""
    assert message == file.error(content)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", 1),
        ("a: 1\na: 2", 2),
        ("issuers:\n - iss: a\n   iss: ZZKEY\n", 3),
        ("- iss: a\n\tjwks_url: ZZKEY\n", 2),
    ],
)
def test_a_file_that_is_no_yaml(file: File, text: str, line: int) -> None:
    """Or says something twice; the line is named, and not quoted, since a key may be on it."""
    said = f"is not YAML, or says something twice (line {line})"
    assert said == file.error(text, name="issuers.yaml")


@pytest.mark.parametrize(
    "value", [" https://ehr.example", "https://ehr.example ", "a\u200bb", "a\n"]
)
@pytest.mark.parametrize("name", ["iss", "client_id", "tenants"])
def test_what_a_token_can_never_say(file: File, name: str, value: str) -> None:
    """A space that is not seen would refuse every token, and nobody would know why."""
    assert file.error([record(**{name: value})]).endswith(
        f": {name}: has spaces around it, or characters that cannot be seen"
    )


def test_an_empty_file(file: File) -> None:
    """Nobody could call."""
    assert "names no issuer" == file.error("", name="issuers.yaml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Not there, or not text."""
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\)$"):
        load_issuers(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml: is not UTF-8$"):
        load_issuers(tmp_path / "binary.yaml")


def test_records_that_are_the_same(file: File) -> None:
    """Which of two records would count, nobody could tell."""
    first, same, other = record(name="a"), record(name="b"), record(iss="https://b", name="a")

    assert "iss https://ehr.example/fhir stands 2 times" == file.error([first, same])
    assert "name a stands 2 times; give each record a name of its own" == file.error([first, other])


def test_several_errors_in_one_line(file: File) -> None:
    """So that one start shows them all."""
    no_boolean = "Input should be a valid boolean, unable to interpret input"
    bad = [record(jwks_url=None), record(iss="https://b.example", shadow="x", tenants=[1])]

    assert [
        f"{TITLE}: needs jwks_url or keys, and not both",
        "issuer 2 (https://b.example): tenants.0: Input should be a valid string",
        f"issuer 2 (https://b.example): shadow: {no_boolean}",
    ] == file.error(bad).split("; ")


def test_all_that_is_wrong_with_one_record(file: File, ec_key: Key) -> None:
    """As a whole, member by member, and against the other records."""
    bad = record(
        name="a b",
        jwks_url=None,
        fhir_servers=["ehr.example/fhir", "http://ehr.example/fhir"],
        colour="red",
        issuer="https://ehr.example/fhir",
        jku={},
    )
    keys = {"keys": [ec_key.public, {"kty": "oct"}, ec_key.public]}
    also = record(iss="https://b.example", **keys)

    assert [
        f"{TITLE}: name: must be 1 to 100 letters, digits, dots, hyphens and underscores",
        f"{TITLE}: jku: must be a list",
        f"{TITLE}: fhir_servers: {BASES}, and {PLAIN}",
        f"{TITLE}: colour: is not known",
        f"{TITLE}: says iss twice",
        f"{TITLE}: needs jwks_url or keys, and not both",
        f"issuer 2 (https://b.example): keys: key 2 {KIND}, two keys have the same kid",
        "issuer 2 (https://b.example): needs jwks_url or keys, and not both",
        "issuer 3: iss: Field required",
        "issuer 3: needs jwks_url or keys, and not both",
        "iss https://ehr.example/fhir stands 2 times",
    ] == re.split("; (?!CDS_)", file.error([bad, also, {}, record()]))


def test_keys_that_cannot_be_used(file: File, ec_key: Key) -> None:
    """Said key by key, with nothing of the key."""
    private = Key("a").private
    keys = [
        ec_key.public,
        private,
        {"kty": "oct", "kid": "b", "k": "ZZKEY"},
        {"kty": "EC"},
        "ZZKEY",
    ]

    text = file.error([record(jwks_url=None, keys=keys)])

    assert (
        f"{TITLE}: keys: key 2 is private or symmetric; it belongs to the EHR alone, "
        "key 3 is private or symmetric; it belongs to the EHR alone, "
        "key 4 is neither EC on P-384 (ES384) nor RSA (RS384), key 5 is no JWK"
    ) == text
    assert private["d"] not in text


def test_two_keys_of_one_id(file: File, ec_key: Key) -> None:
    """A token names one key."""
    keys = [ec_key.public, Key(ec_key.kid).public]

    assert f"{TITLE}: keys: two keys have the same kid" == file.error(
        [record(jwks_url=None, keys=keys)]
    )


def test_too_many_keys(file: File, ec_key: Key) -> None:
    """More than any EHR has."""
    keys = [{**ec_key.public, "kid": str(n)} for n in range(51)]

    assert f"{TITLE}: keys: more than 50 keys" == file.error([record(jwks_url=None, keys=keys)])


# --- Servers for all ----------------------------------------------------------------------------


def test_servers_for_all_are_those_of_one(file: File) -> None:
    """Of several EHRs each lists its own: else one hospital's hooks could name another's server."""
    shared = {"fhir_servers": ("https://shared.example/fhir",)}
    one, two = (
        record(),
        record(iss="https://two.example/fhir", fhir_servers=["https://two.example/r4"]),
    )
    error = file.error([one, two], **shared)

    assert "CDS_FHIR_SERVERS" in error
    assert error.endswith(": ehr.example-fhir lists none")
    neither = [one, record(iss="https://two.example/fhir")]
    assert 2 == file.error(neither, **shared).count("lists none")
    # Each of these may start.
    file.load([one], **shared)
    file.load([one, two])
    file.load([one | {"fhir_servers": []}, two], **shared)
