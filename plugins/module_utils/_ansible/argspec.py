# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specifications that modules share, and the constraints between their options."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils.basic import env_fallback

Spec = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class ArgumentSpec:
    """What AnsibleModule takes: the options and the constraints between them. Immutable; L(merge) makes a new one."""

    argument_spec: Spec = dataclasses.field(default_factory=dict)
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()
    required_together: tuple[tuple[str, ...], ...] = ()
    required_one_of: tuple[tuple[str, ...], ...] = ()
    required_if: tuple[tuple[t.Any, ...], ...] = ()
    required_by: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def merge(self, other: ArgumentSpec) -> ArgumentSpec:
        """This one and another; an option of both is the other's."""
        return ArgumentSpec(
            argument_spec={**self.argument_spec, **other.argument_spec},
            mutually_exclusive=self.mutually_exclusive + other.mutually_exclusive,
            required_together=self.required_together + other.required_together,
            required_one_of=self.required_one_of + other.required_one_of,
            required_if=self.required_if + other.required_if,
            required_by={**self.required_by, **other.required_by},
        )

    def to_kwargs(self) -> dict[str, t.Any]:
        """Keyword arguments for AnsibleModule."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _option(variable: str | None = None, **kwargs: t.Any) -> Spec:
    if variable:
        kwargs["fallback"] = (env_fallback, [variable])
    return {"type": "str", **kwargs}


CONNECTION = ArgumentSpec(
    {
        "servers": _option("NATS_URL", type="list", elements="str"),
        "context": _option("NATS_CONTEXT"),
        "user": _option("NATS_USER"),
        "password": _option("NATS_PASSWORD", no_log=True),
        "token": _option("NATS_TOKEN", no_log=True),
        "credentials": _option("NATS_CREDS", type="path"),
        "nkey_seed": _option("NATS_NKEY", type="path", no_log=False),
        "ca_cert": _option("NATS_CA", type="path"),
        "client_cert": _option("NATS_CERT", type="path"),
        "client_key": _option("NATS_KEY", type="path", no_log=False),
        "validate_certs": {"type": "bool", "default": True},
        "tls_first": {"type": "bool"},
        "domain": _option("NATS_JS_DOMAIN"),
        "inbox_prefix": _option("NATS_INBOX_PREFIX"),
        "connect_timeout": {"type": "float", "default": 5.0},
        "request_timeout": {"type": "float", "default": 10.0},
    }
)
