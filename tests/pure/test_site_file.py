"""The site file: every mistake at once, each with its place; no secret in what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mopflow.errors import BadInput
from mopflow.messages import Kind, Tag
from mopflow.secrets import refs_of
from mopflow.site_file import load
from mopflow.yaml_places import path_steps, path_text

ROOT = Path(__file__).parents[2]
LAB = (ROOT / "deployments" / "lab.yaml").read_text(encoding="utf-8")
GIVEN = [
    ROOT / "deployments" / "lab.yaml",
    ROOT / "deployments" / "example-site.yaml",
    ROOT / "tests" / "sites" / "small.yaml",
]


def line_of(text: str, part: str, nth: int = 1) -> int:
    """The line of the n-th occurrence."""
    place = -1
    for _ in range(nth):
        place = text.index(part, place + 1)
    return text.count("\n", 0, place) + 1


def mistakes(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    """(line, rest) of every mistake."""
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load(path)
    found = []
    for mistake in caught.value.mistakes:
        match = re.fullmatch(rf"{re.escape(str(path))}:(\d+): (.*)", mistake, re.S)
        assert match, mistake
        assert "\n" not in mistake
        found.append((int(match[1]), match[2]))
    return found


def changed(*changes: tuple[str, str]) -> str:
    text = LAB
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("path", GIVEN, ids=lambda path: path.name)
def test_the_given_files_are_good(path: Path) -> None:
    site = load(path)
    assert site.source_release.short == "12.1.1"
    assert all(len(cluster.servers) == 2 for cluster in site.clusters)


def test_the_lab_is_large_enough_for_the_limits() -> None:
    site = load(GIVEN[0])
    assert [len(segment.clusters) for segment in site.segments] == [5, 2]
    assert {c.kind.value for c in site.segments[0].clusters} == {"MPE", "MPE-Li", "MRA"}
    assert site.cmp.secondary is not None
    addresses = [server.address for server in site.servers]
    assert len(set(addresses)) == len(addresses)


# one mistake, at its line

MD5 = "ed7002cdf585360e4b8aefbbdc98460d"
ONE = [
    (("source: 12.1.1.0.0_14.1.0", "source: 12.3"), "source: 12.3", r"source: is read by YAML.*quotes"),
    (("source: 12.1.1.0.0_14.1.0", "source: 11.9.x"), "source: 11.9.x", r"source: '11.9.x' is not a release"),
    (
        ("source: 12.1.1.0.0_14.1.0", "source: 9.3.0.0.0_1.1.0"),
        "source: 9.3",
        r"source: there is no upgrade path",
    ),
    (
        (
            "target: 12.1.2.0.0_22.1.0\n\nconsole:\n  user: admin",
            "target: 12.1.2.0.0_22.1.0\n\nconsole:\n  usr: admin",
        ),
        "usr:",
        r"console\.usr: is not known here; did you mean user\?",
    ),
    (
        ("name: mpe-1a, address: 127.0.1.31", "name: mpe-1a"),
        "- {name: mpe-1a}",
        r"segments\[0\]\.clusters\[0\]\.servers\[0\]\.address: is missing",
    ),
    (
        ("address: 127.0.1.32", "address: 127.0.1.31"),
        "mpe-1b",
        r"servers\[1\]: mpe-1b has the address of mpe-1a",
    ),
    (
        ("name: mpe-1b", "name: mpe-1a"),
        "name: mpe-1a, address: 127.0.1.32",
        r"servers\[1\]\.name: the name mpe-1a is used by",
    ),
    (
        ("    kind: MPE-Li", "    kind: MPE-LI"),
        "kind: MPE-LI",
        r"clusters\[2\]\.kind: 'MPE-LI': it should be .*'MPE-Li'",
    ),
    (("    kind: MPE-Li", "    kind: CMP"), "kind: CMP", r"clusters\[2\]\.kind: CMP clusters belong under cmp"),
    ((MD5, MD5[:-1]), "type: cmp", r"media\[0\]\.md5: must be an MD5 hash of 32"),
    (
        ("cmp-12.1.2.0.0_22.1.0-x86_64.iso", "cmp-12.1.1.0.0_14.1.0-x86_64.iso"),
        "type: cmp",
        r"media\[0\]\.file: .*is release 12\.1\.1\.0\.0_14\.1\.0, the target is",
    ),
    (
        ("- {file: mra-12.1.2.0.0_22.1.0-x86_64.iso, type: mra", "- {file: mra-x.iso, type: mra"),
        "mra-x.iso",
        r"media\[3\]\.file: 'mra-x\.iso' is not the name of a Policy image",
    ),
    (("    - {name: mpe-2b, address: 127.0.1.42}\n", ""), "servers:", r"clusters\[1\]\.servers: mpe-2 has 1 servers"),
    (("  default: auto", "  default: automatic"), "automatic", r"autonomy\.default: 'automatic': it should be"),
    (("  user: admusr", "  user: admusr\n  user: root"), "user: root", r"ssh\.user: stands here and on line \d+"),
    (("cmp:\n  primary:", "cmp:\n  first:"), "cmp:", r"cmp\.primary: is missing with name"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "part", "said"), ONE, ids=[one[2] for one in ONE])
def test_a_mistake_is_named_with_its_line_and_path(
    tmp_path: Path, change: tuple[str, str], part: str, said: str
) -> None:
    text = changed(change)
    found = mistakes(tmp_path, text)
    hits = [line for line, rest in found if re.search(said, rest)]
    assert hits, found
    if part == "servers:":  # every pair has that key: the one of mpe-2
        assert hits == [text.count("\n", 0, text.index("servers:", text.index("name: mpe-2\n"))) + 1]
    elif part not in ("cmp:",):
        assert hits == [line_of(text, part)]


def test_a_pair_for_all_mistakes_at_once(tmp_path: Path) -> None:
    """Single fields, and what shows only when the parts are seen together, in one answer."""
    text = changed(
        (MD5, "short"),
        ("name: mpe-2b", "name: mpe-1a"),
        ("address: 127.0.1.92", "address: 127.0.1.91"),
        ("  first_failover: auto", "  first_failovr: auto"),
    ).replace("  user: ossi\n", "")
    found = mistakes(tmp_path, text)
    said = [rest for _, rest in found]
    assert len(found) == 5, found
    assert [line for line, _ in found] == sorted(line for line, _ in found)
    for pattern in (
        r"media\[0\]\.md5",
        r"the name mpe-1a is used by",
        r"mra-3b has the address of mra-3a",
        r"autonomy\.first_failovr: .* did you mean first_failover\?",
        r"ossi\.user: is missing",
    ):
        assert sum(bool(re.search(pattern, rest)) for rest in said) == 1, (pattern, said)


def test_what_follows_from_a_mistake_is_not_reported_as_another(tmp_path: Path) -> None:
    found = mistakes(tmp_path, changed(("target: 12.1.2.0.0_22.1.0", "target: twelve")))
    assert len(found) == 1, found
    assert "target: 'twelve' is not a release" in found[0][1]


@pytest.mark.parametrize(
    "secret",
    [
        "password: Hunter2!Hunter2",
        "password: {value: Hunter2!Hunter2}",
        "password: {env: Hunter2!Hunter2}",
        "password: {block: Hunter2!Hunter2}",
        "password: [Hunter2!Hunter2]",
        "password: !Hunter2!Hunter2",
        "password: *Hunter2!Hunter2",
        "password: {env: A, block: Hunter2!Hunter2}",
        "password: Hunter2!Hunter2: yes",
        "password: {env: X}\n  passwort: Hunter2!Hunter2",
        "password: {env: X, Hunter2!Hunter2}",
    ],
)
def test_an_inline_secret_is_refused_and_never_printed(tmp_path: Path, secret: str) -> None:
    found = mistakes(tmp_path, changed(("password: {env: MOPFLOW_LAB_ADMUSR_PASSWORD}", secret)))
    line = line_of(LAB, "password: {env: MOPFLOW_LAB_ADMUSR_PASSWORD}")
    assert any(line <= where <= line + 1 for where, _ in found), found
    assert "Hunter2" not in str(found)


CHANNELS = """
notifications:
  urls:
  - {env: MOPFLOW_ALL}
  - {env: MOPFLOW_DUTY, tags: [duty, manager]}
  - {block: notice-channels/ops}
  kinds: {hold: [duty, manager]}
contacts:
- {name: J. Doe, role: duty, tag: duty}
- {name: A. Boss, role: manager, url: {env: MOPFLOW_BOSS}}
"""


def test_channels_and_contacts_have_tags(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(LAB + CHANNELS, encoding="utf-8")
    site = load(file)
    assert [ref.tags for ref in site.notifications.urls] == [(), (Tag.DUTY, Tag.MANAGER), ()]
    assert site.notifications.kinds == {Kind.HOLD: (Tag.DUTY, Tag.MANAGER)}
    assert [contact.has_channel for contact in site.contacts] == [True, True]
    assert {ref.env for ref in refs_of(site)} >= {"MOPFLOW_ALL", "MOPFLOW_DUTY", "MOPFLOW_BOSS"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("tags: [duty", "tags: [dutty"), r"urls\[1\]\.tags\[0\]: 'dutty': it should be .*'duty'"),
        (("tags: [duty, manager]", "tags: duty"), r"urls\[1\]\.tags: should be a list"),
        (("tags: [duty", "tag: [duty"), r"urls\[1\]\.tag: is not known here; did you mean tags\?"),
        (("{hold:", "{holt:"), r"kinds.*holt"),
        (("tag: duty}", "tag: nobody}"), r"contacts\[0\]\.tag: 'nobody': it should be"),
        (("{env: MOPFLOW_ALL}", "mailto://robot:Hunter2@example.net"), r"urls\[0\]: a secret never stands"),
        (
            ("{env: MOPFLOW_ALL}", "{url: 'mailto://robot:Hunter2@x.net'}"),
            r"urls\[0\].*a secret never stands",
        ),
        (
            ("{env: MOPFLOW_ALL}", "{env: 'mailto://robot:Hunter2@x.net', tags: [duty]}"),
            r"urls\[0\]\.env: is not the",
        ),
        (
            ("url: {env: MOPFLOW_BOSS}", "url: 'json://robot:Hunter2@x.net'"),
            r"contacts\[1\]\.url: .*a secret",
        ),
    ],
)
def test_a_mistake_in_a_channel_is_named_and_no_secret_is(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert change[0] in CHANNELS
    found = mistakes(tmp_path, LAB + CHANNELS.replace(*change))
    assert any(re.search(said, rest) for _, rest in found), found
    assert "Hunter2" not in str(found)


def test_a_mistake_in_every_segment_hides_no_other_one(tmp_path: Path) -> None:
    text = LAB.replace("kind: MRA", "kind: MRX").replace("127.0.1.31", "127.0.1.11")
    found = mistakes(tmp_path, text)
    assert [rest for _, rest in found if "MRX" in rest] and [
        rest for _, rest in found if "address of" in rest
    ]
    assert not [rest for _, rest in found if "at least 1 item" in rest], found


def test_a_password_inside_of_a_url_is_refused_and_never_printed(tmp_path: Path) -> None:
    text = LAB + "\nledger: postgresql+psycopg://mopflow:Hunter2@db.example.net/mopflow\n"
    found = mistakes(tmp_path, text)
    assert [line for line, _ in found] == [line_of(text, "ledger: ")]
    assert "Hunter2" not in str(found)
    good = tmp_path / "good.yaml"
    good.write_text(text.replace(":Hunter2@", "@"), encoding="utf-8")
    assert load(good).name == "lab"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a site file is a mapping"),
        ("- name: lab\n", "a site file is a mapping"),
        ("name: [lab\nsource: x\n", "is not YAML"),
        ("name: lab\n---\nname: lab\n", "second document"),
        ("name: \tlab\n\tsource: x\n", "is not YAML"),
    ],
)
def test_files_that_are_no_site_file(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in rest for _, rest in mistakes(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.yaml: cannot be read: No such file"):
        load(tmp_path / "nowhere.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    with pytest.raises(BadInput, match="is not UTF-8 text"):
        load(binary)


def test_paths_read_as_they_are_written() -> None:
    path = ("segments", 0, "clusters", 12, "servers", 1, "name")
    assert path_text(path) == "segments[0].clusters[12].servers[1].name"
    assert path_steps(path_text(path)) == path
