# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX 24.6.1 takes, as JSON Schemas."""

from __future__ import annotations

from typing import Any

NAME = r"^[a-zA-Z_]+[a-zA-Z0-9_]*$"
INPUTS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "required": {"type": "array", "items": {"type": "string"}},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["string", "boolean"]},
                    "format": {"enum": ["ssh_private_key", "url"]},
                    "choices": {"type": "array", "minItems": 1, "items": {"type": "string"}, "uniqueItems": True},
                    "id": {"type": "string", "pattern": NAME, "not": {"enum": ["tower"]}},
                    "label": {"type": "string"},
                    "help_text": {"type": "string"},
                    "multiline": {"type": "boolean"},
                    "secret": {"type": "boolean"},
                    "ask_at_runtime": {"type": "boolean"},
                    "default": {},
                },
                "additionalProperties": False,
                "required": ["id", "label"],
                # What only a text can be.
                "if": {"properties": {"type": {"const": "boolean"}}, "required": ["type"]},
                "then": {
                    "properties": {
                        "choices": False,
                        "multiline": False,
                        "format": False,
                        "secret": False,
                        "default": {"type": "boolean"},
                    }
                },
                "else": {"properties": {"default": {"type": "string"}}},
            },
        },
    },
}
INJECTORS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "file": {
            "type": "object",
            "patternProperties": {r"^template(\.[a-zA-Z_]+[a-zA-Z0-9_]*)?$": {"type": "string"}},
            "additionalProperties": False,
            # One nameless file, or files with names.
            "if": {"required": ["template"]},
            "then": {"maxProperties": 1},
        },
        "env": {
            "type": "object",
            "propertyNames": {"not": {"pattern": "^ANSIBLE_"}},
            "patternProperties": {NAME: {"type": "string", "pattern": "^[\x00-\x7f]*$"}},
            "additionalProperties": False,
        },
        "extra_vars": {
            "type": "object",
            "patternProperties": {
                r"^[a-zA-Z_\{\}]+[a-zA-Z0-9_\{\}]*$": {
                    "anyOf": [{"type": "string"}, {"type": "array"}, {"$ref": "#/properties/extra_vars"}]
                }
            },
            "additionalProperties": False,
        },
    },
}
#: Names that an injector may not set.
ENV_BLOCKED = frozenset(
    "VIRTUAL_ENV PATH PYTHONPATH JOB_ID INVENTORY_ID INVENTORY_SOURCE_ID INVENTORY_UPDATE_ID AD_HOC_COMMAND_ID"
    " REST_API_URL REST_API_TOKEN MAX_EVENT_RES CALLBACK_QUEUE CALLBACK_CONNECTION CACHE JOB_CALLBACK_DEBUG"
    " INVENTORY_HOSTVARS AWX_HOST PROJECT_REVISION SUPERVISOR_CONFIG_PATH".split()
)
_LIMIT = {"type": ["integer", "null"]}
_CHOICES = {
    "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]
}


def _default_is(kinds: list[str], default: dict[str, Any]) -> dict[str, Any]:
    return {
        "if": {"properties": {"type": {"enum": kinds}}},
        "then": {"properties": {"default": {"anyOf": [default, {"const": ""}]}}},
    }


SURVEY: dict[str, Any] = {
    "type": "object",
    "required": ["name", "description", "spec"],
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string"},
        "spec": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "question_name", "variable", "required"],
                "properties": {
                    "type": {
                        "enum": ["text", "textarea", "password", "multiplechoice", "multiselect", "integer", "float"]
                    },
                    "question_name": {"type": "string"},
                    "question_description": {"type": "string"},
                    "variable": {"type": "string", "pattern": NAME},
                    "required": {"type": "boolean"},
                    "min": _LIMIT,
                    "max": _LIMIT,
                    "choices": _CHOICES,
                    "default": {},
                },
                "additionalProperties": False,
                "allOf": [
                    _default_is(["text", "textarea", "password", "multiplechoice", "multiselect"], {"type": "string"}),
                    _default_is(["integer"], {"type": "integer"}),
                    _default_is(["float"], {"type": "number"}),
                    {
                        "if": {"properties": {"type": {"enum": ["multiplechoice", "multiselect"]}}},
                        "then": {"required": ["choices"]},
                    },
                    {"properties": {"default": {"not": {"type": "string", "pattern": "^\\$encrypted\\$"}}}},
                ],
            },
        },
    },
}
_MESSAGE = {
    "type": ["object", "null"],
    "properties": {
        "message": {"type": ["string", "null"], "pattern": r"^[^\n]*$"},
        "body": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}
MESSAGES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "started": _MESSAGE,
        "success": _MESSAGE,
        "error": _MESSAGE,
        "workflow_approval": {
            "type": ["object", "null"],
            "properties": dict.fromkeys(("running", "approved", "timed_out", "denied"), _MESSAGE),
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
WEBHOOK: dict[str, Any] = {
    "type": "object",
    "required": ["url", "headers"],
    "properties": {
        "url": {"type": "string"},
        "headers": {"type": "object"},
        "http_method": {"enum": ["POST", "PUT"]},
        "disable_ssl_verification": {"type": "boolean"},
        "username": {"type": "string"},
        "password": {"type": "string"},
    },
    "additionalProperties": False,
}
