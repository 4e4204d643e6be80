# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that knows AnsibleModule: start, connect, run, and turn the outcome into exit_json or fail_json."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import time
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .._nats import connect as nats_connect
from .._nats.errors import MissingLibraryError, NatsError
from .._nats.options import Options, make_options
from .._report.fold import fold
from . import output
from .argspec import CONNECTION, ArgumentSpec


@dataclasses.dataclass(frozen=True)
class Context:
    """What the work of a module gets: its parameters, the mode, and how to reach the servers."""

    params: dict[str, t.Any]
    check_mode: bool
    options: Options | None

    @property
    def connection(self) -> Options:
        """Connection options; only for modules that declare them."""
        if self.options is None:
            raise NatsError("this module takes no connection options")
        return self.options


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a module returns. C(failure) makes it fail, with C(values) as the partial results."""

    changed: bool
    values: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    diff: t.Any = None
    warnings: tuple[str, ...] = ()
    failure: Exception | None = None


Work = t.Callable[[Context], t.Awaitable[Outcome]]


class _Module(AnsibleModule):  # type: ignore[misc]
    """Hides secrets where addresses and options hold them, in the log of the host as well as in what is returned."""

    def _log_invocation(self) -> None:
        self.no_log_values.update(output.hidden_in(self.params))
        super()._log_invocation()


def run_module(spec: ArgumentSpec, work: Work, *, connects: bool = True) -> None:
    """Run C(work) as an Ansible module with the options of C(spec) and, if it C(connects), those of a connection.

    Every module supports check mode: C(work) looks at C(Context.check_mode) itself.
    """
    full = CONNECTION.merge(spec) if connects else spec
    module = _Module(supports_check_mode=True, **full.to_kwargs())
    started = time.monotonic()
    if connects and nats_connect.NATS_IMPORT_ERROR:
        fail(module, MissingLibraryError("nats-py is not installed", "nats-py"), {})
    try:
        options = make_options(module.params) if connects else None
        outcome = asyncio.run(_interruptible(work(Context(module.params, module.check_mode, options))))
    except Exception as exc:  # the boundary: whatever happened becomes one fail_json
        outcome = Outcome(getattr(exc, "changed", False), getattr(exc, "values", {}), failure=exc)
    finish(module, outcome, time.monotonic() - started)


async def _interruptible(work: t.Awaitable[Outcome]) -> Outcome:
    """Let SIGTERM and SIGINT cancel the work, so that it cleans up behind itself before the process ends."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def interrupt(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        name = signal.Signals(received[0]).name if received else "cancellation"
        raise NatsError(
            f"Interrupted by {name}. Run again: it goes on from what is there.", error="interrupted"
        ) from None


def finish(module: AnsibleModule, outcome: Outcome, duration: float) -> t.NoReturn:
    """Turn an outcome into exit_json, or into fail_json where it failed."""
    values = dict(outcome.values, changed=outcome.changed, duration=round(duration, 3))
    if outcome.diff is not None and module._diff:  # noqa: SLF001 - the public way to ask for diff mode
        values["diff"] = outcome.diff
    for warning in fold(outcome.warnings):
        module.warn(output.line(warning))
    failure = outcome.failure
    if failure is not None:
        fail(module, failure, values)
    module.exit_json(**output.values(values))
    raise AssertionError("exit_json returned")


def fail(module: AnsibleModule, failure: Exception, values: dict[str, t.Any]) -> t.NoReturn:
    """Turn an error into fail_json: C(msg), C(error), C(err_code) and what is known of the results."""
    if isinstance(failure, MissingLibraryError):
        values.update(error=failure.error, exception=nats_connect.NATS_IMPORT_ERROR)
        module.fail_json(msg=missing_required_lib(failure.library), **values)
    if isinstance(failure, OSError) and failure.errno and not hasattr(failure, "error"):
        failure = output.refusal_of_the_system(failure)
    word = getattr(failure, "error", None)
    values = output.values(values)
    if word is None:
        # Nothing of ours: a defect or the system's refusal; the traceback goes with it.
        values.update(
            error="unexpected",
            exception=output.values("".join(traceback.format_exception(type(failure), failure, failure.__traceback__))),
        )
        module.fail_json(msg=output.line(f"{type(failure).__name__}: {failure}"), **values)
    err_code = getattr(failure, "err_code", None)
    if err_code is not None:
        values["err_code"] = err_code
    module.fail_json(msg=output.line(failure), error=word, **{k: v for k, v in values.items() if k != "error"})
    raise AssertionError("fail_json returned")
