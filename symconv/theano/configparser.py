"""theano.configparser: the settings as objects, and settings that a program adds."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from symconv.theano.casting import change_flags
from symconv.theano.configuration import SETTINGS, TheanoConfig, as_boolean, config

TheanoConfigParser = TheanoConfig


class ConfigVar:
    """A setting: __get__ and __set__ read and write it, whatever object they are given."""

    def __init__(self, fullname: str) -> None:
        self.fullname = fullname
        self.doc = SETTINGS[fullname][2]

    def __get__(self, cls: Any, type_: Any = None, delete_key: bool = False) -> Any:
        return operator.attrgetter(self.fullname)(config)

    def __set__(self, cls: Any, value: Any) -> None:
        setattr(config, self.fullname, value)

    def __repr__(self) -> str:
        return f"ConfigVar({self.fullname} = {self.__get__(None)!r})"


_config_var_list = [ConfigVar(name) for name in SETTINGS]


class ConfigParam:
    """A default, and how a value is read; a default may be a function that computes it."""

    parse: Callable[[Any], Any] = staticmethod(lambda value: value)

    def __init__(self, default: Any = None, is_valid: Any = None, allow_override: bool = True) -> None:
        self.default = default() if callable(default) else default
        self.is_valid = is_valid

    def __call__(self, value: Any) -> Any:
        """The value as it is kept. Raises ValueError for one that is not valid."""
        parsed = self.parse(value)
        if self.is_valid is not None and not self.is_valid(parsed):
            raise ValueError(f"{value!r} is not valid")
        return parsed


class StrParam(ConfigParam):
    """A string."""

    parse = str


class IntParam(ConfigParam):
    """A whole number."""

    parse = int


class FloatParam(ConfigParam):
    """A number."""

    parse = float


class BoolParam(ConfigParam):
    """True or False, also as text."""

    parse = staticmethod(as_boolean)


class EnumStr(ConfigParam):
    """One of some words, the first of which is the default."""

    def __init__(self, default: str, *options: str, **_: Any) -> None:
        super().__init__(default, lambda value: value in (default, *options))


def AddConfigVar(  # noqa: N802 - Theano's name
    name: str, doc: str, configparam: ConfigParam, root: Any = config, in_c_key: bool = True
) -> None:
    """Add the setting theano.config.<name>. Raises AttributeError if there is one of that name."""
    if name in SETTINGS:
        raise AttributeError(f"AddConfigVar: theano.config has a setting {name!r} already")
    SETTINGS[name] = (configparam.default, configparam, doc)
    _config_var_list.append(ConfigVar(name))


__all__ = [
    "AddConfigVar", "BoolParam", "ConfigParam", "EnumStr", "FloatParam", "IntParam", "StrParam",
    "TheanoConfigParser", "change_flags", "config",
]  # fmt: skip
