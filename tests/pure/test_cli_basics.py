"""The command line from outside: what every command says, on which stream, with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.main import main

ROOT = Path(__file__).parents[2]
LAB = ROOT / "deployments" / "lab.yaml"
COMMANDS = [
    [], ["site"], ["site", "check"], ["plan"], ["steps"], ["status"], ["upgrade-cmp"], ["upgrade-segment"],
    ["rehearse"], ["lab"], ["lab", "up"],
]  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0
    return json.loads(out)  # exactly one document


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, err = run(capsys, *words, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(" ".join(["Usage: mopflow", *words]))


def test_steps_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = document(capsys, "steps")
    numbers: dict[str, list[int]] = {}
    for row in rows:
        assert set(row) == {"procedure", "number", "title", "actor", "expects", "minutes"}
        assert row["actor"] in ("check", "gui", "ssh", "operator")
        assert row["title"].strip()
        assert row["expects"] == sorted(set(row["expects"]))
        assert all(isinstance(number, int) for number in row["expects"])
        numbers.setdefault(row["procedure"], []).append(row["number"])
    assert numbers == {
        "4.1": [1, 2],
        "4.5": [1, 2, 3, 4],
        "4.6.2": list(range(1, 7)),
        "4.6.3.1": [1],
        "4.6.3.2": list(range(1, 7)),
        "4.6.4": [1, 2, 3, 4],
        "4.6.5": list(range(1, 16)),
        **{number: list(range(1, 24)) for number in ("6.1.1", "7.1.1")},
        "8.1.1": list(range(1, 22)),
        **{number: list(range(1, 7)) for number in ("6.1.2", "7.1.2", "8.1.2")},
        "9.1.1": list(range(1, 21)),
        "9.1.2": list(range(1, 7)),
        "10.1.1": [1, 2],
        "10.2": list(range(1, 13)),
        "11": list(range(1, 6)),
        "12.3.3": list(range(1, 8)),
        "12.3.4": list(range(1, 5)),
        "12.3.5": list(range(1, 10)),
    }


def test_steps_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "steps")
    assert (code, err) == (0, "")
    assert "10.2/4" in out
    assert "Failover" in out


def test_plan(capsys: pytest.CaptureFixture[str]) -> None:
    rows = document(capsys, "plan", str(LAB))["rows"]
    # the lab asks nobody; what only a person can know is confirmed by one
    assert {row["procedure"] for row in rows if row["who"] != "automatic"} == {"4.1"}
    assert rows[0]["order"] == 1
    assert [row["segment"] for row in rows[-6:]] == ["segment-2", *[None] * 5]
    assert {(row["command"], row["procedure"]) for row in rows[-5:]} == {("post-check", "11")}
    assert {row["command"] for row in rows} == {
        "prepare",
        "upgrade-cmp",
        "upgrade-segment segment-1",
        "upgrade-segment segment-2",
        "post-check",
    }
    code, out, _ = run(capsys, "plan", str(LAB))
    assert code == 0
    assert "standby server of mpe-1" in out
    assert "mopflow upgrade-segment segment-2" in out


def test_site_check_says_all_mistakes_on_stderr(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        LAB.read_text(encoding="utf-8").replace("name: lab", "nam: lab").replace("kind: MRA", "kind: MRE", 1),
        encoding="utf-8",
    )
    code, out, err = run(capsys, "site", "check", str(bad))
    assert (code, out) == (1, "")
    assert f"{bad}:" in err
    assert "nam: is not known here; did you mean name?" in err
    assert "kind: 'MRE'" in err
    code, out, err = run(capsys, "site", "check", str(bad), "--json")
    assert (code, err) == (1, "")
    content = json.loads(out)
    assert content["ok"] is False
    assert len(content["mistakes"]) == 3  # name is missing, too


def test_site_check_of_a_good_file(capsys: pytest.CaptureFixture[str]) -> None:
    content = document(capsys, "site", "check", str(LAB))
    assert (content["ok"], content["servers"], content["clusters"]) == (True, 18, 7)


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("plan",),
        ("rehearse", "--speed", "fast"),
        ("rehearse", "--site", "nowhere.yaml"),
        ("plan", "nowhere.yaml"),
        ("status", "nowhere.yaml"),
        ("lab", "up", str(LAB)),
    ],
    ids=" ".join,
)
def test_errors_are_one_on_stderr_and_a_document_for_programs(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (1, "")
    assert err.strip()
    assert "Traceback" not in err
    code, out, _ = run(capsys, *words, "--json")
    assert code == 1
    assert json.loads(out)


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MOPFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(
    "words", [("upgrade-cmp", "x.yaml"), ("upgrade-segment", "x.yaml", "s")], ids=" ".join
)
def test_without_a_prefect_server_that_is_said_before_anything_else(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (1, "")
    assert "prefect server start" in err
    assert "PREFECT_API_URL" in err
    assert "x.yaml" not in err


@pytest.mark.usefixtures("no_server")
def test_the_server_of_prefects_active_profile_counts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:1/api"\n', encoding="utf-8"
    )
    code, _, err = run(capsys, "upgrade-cmp", "nowhere.yaml")
    assert code == 1
    assert "nowhere.yaml: cannot be read" in err


@pytest.mark.usefixtures("no_server")
def test_missing_passwords_of_a_twin_come_with_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    monkeypatch.setenv("MOPFLOW_LAB_GUI_PASSWORD", "x")
    code, _, err = run(capsys, "upgrade-segment", str(LAB), "segment-1")
    assert code == 1
    assert "MOPFLOW_LAB_ADMUSR_PASSWORD, MOPFLOW_LAB_OSSI_PASSWORD not set" in err
    assert "MOPFLOW_LAB_GUI_PASSWORD" not in err
    assert "source DIR/secrets.env" in err


@pytest.mark.usefixtures("no_server")
def test_a_segment_that_the_site_does_not_have(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    code, _, err = run(capsys, "upgrade-segment", str(LAB), "segment-3")
    assert code == 1
    assert "has no segment segment-3; it has segment-1, segment-2" in err


def test_a_used_folder_and_a_site_that_wants_people_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "note").write_text("mine", encoding="utf-8")
    for words in (["rehearse", "--out", str(tmp_path)], ["lab", "up", str(LAB), "--out", str(tmp_path)]):
        code, _, err = run(capsys, *words)
        assert code == 1
        assert "is used already" in err
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
    example = str(ROOT / "deployments" / "example-site.yaml")
    code, _, err = run(capsys, "rehearse", "--site", example, "--out", str(tmp_path / "new"))
    assert code == 1
    assert "autonomy.cmp_switch: is confirm" in err
    assert not (tmp_path / "new").exists()


def test_what_nobody_foresaw_leaves_a_log_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cli.crash import keep

    monkeypatch.setenv("MOPFLOW_LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("MOPFLOW_LAB_GUI_PASSWORD", "a/b+c%d?e")
    try:
        raise RuntimeError("refused a/b+c%d?e and a%2Fb%2Bc%25d%3Fe")
    except RuntimeError as error:
        said = keep(error)
    (log,) = (tmp_path / "logs").iterdir()
    assert str(log) in said
    assert "refused" not in said
    text = log.read_text(encoding="utf-8")
    assert "RuntimeError: refused ******** and ********" in text
    assert "Traceback" in text


def test_looking_imports_no_prefect() -> None:
    """`--help`, `steps` and `site check` answer at once; Prefect alone takes seconds to import."""
    program = (
        "import sys\nfrom cli.main import main\n"
        f"assert main(['steps', '--json']) == 0\nassert main(['plan', {str(LAB)!r}, '--json']) == 0\n"
        "assert 'prefect' not in sys.modules and 'playwright' not in sys.modules, sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
