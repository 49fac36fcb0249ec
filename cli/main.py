"""The command `mopflow`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import typer
from typer import _click as click_of_typer

from cli import (
    back_out,
    forecast,
    lab,
    look,
    notices,
    output,
    people,
    post_check,
    prepare,
    record,
    rehearse,
    support_pack,
    upgrade,
    watch,
)
from mopflow.errors import MopflowError

app = typer.Typer(
    name="mopflow",
    help="Upgrades an Oracle Communications Policy Management system to 12.1.2 as E75412-01 describes it. "
    "Exit codes: 0, every goal holds; 3, ended safely with a hold or a rollback; 1, an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_INTERRUPTED = 130  # what typer makes of a Ctrl-C

look.add_to(app)
watch.add_to(app)
forecast.add_to(app)
prepare.add_to(app)
upgrade.add_to(app)
post_check.add_to(app)
notices.add_to(app)
support_pack.add_to(app)
record.add_to(app)
people.add_to(app)
back_out.add_to(app)
rehearse.add_to(app)
lab.add_to(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Nothing leaves as a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code: Any = app(args=words, prog_name="mopflow", standalone_mode=False)
    except click_of_typer.exceptions.ClickException as wrong:
        wrong.show()
        if "--json" in words:
            output.document({"error": wrong.format_message(), "exit": output.ERROR})
        return output.ERROR
    except MopflowError as error:
        return _failed(words, output.explain(error))
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone
        sys.stderr.close()
        return output.ERROR
    except Exception as error:  # noqa: BLE001  the last door: what nobody foresaw is kept in a file
        from cli.crash import keep

        return _failed(words, keep(error))
    if code == _INTERRUPTED:
        return _failed(words, "interrupted; everything that this command had started was ended")
    return code if isinstance(code, int) else output.OK


def _failed(words: Sequence[str], text: str) -> int:
    output.complain(text)
    if "--json" in words:
        output.document({"error": text, "exit": output.ERROR})
    return output.ERROR


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
