"""Settings: values, variables, overrides, messages."""

from __future__ import annotations

import asyncio
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from symconv.config import Config, settings
from symconv.errors import ConfigError, UnknownSettingError


@pytest.fixture
def config():
    return Config({})


def test_config_defaults(config):
    assert config.device == "auto" and config.floatX == "float32" and config.num_threads == 0
    assert config.optimize is True and config.verify_rewrites is False and config.check_data is False
    assert config.winograd is True
    assert config.memory_limit == 0 and config.data is None and config.seed == 0
    assert config.cache_dir.name in ("symconv", "cache")


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("device", "reference", "reference"),
        ("floatX", "float64", "float64"),
        ("num_threads", "3", 3),
        ("optimize", "off", False),
        ("verify_rewrites", "1", True),
        ("check_data", "Yes", True),
        ("winograd", "0", False),
        ("memory_limit", "512M", 512 * 2**20),
        ("memory_limit", "1.5 GiB", 3 * 2**29),
        ("memory_limit", "1000", 1000),
        ("data", "/some/where", Path("/some/where")),
        ("data", "~", Path.home()),
        ("cache_dir", "/tmp/cache", Path("/tmp/cache")),
        ("seed", "42", 42),
    ],
)
def test_config_reads_its_variable(name, text, value):
    read = getattr(Config({"SYMCONV_" + name.upper(): text}), name)
    assert read == value and type(read) is type(value)


def test_config_empty_variable_is_unset():
    assert Config({"SYMCONV_NUM_THREADS": "", "SYMCONV_DATA": ""}).num_threads == 0


@pytest.mark.parametrize(
    "name, value",
    [
        ("device", "gpu"),
        ("device", 3),
        ("floatX", "float16"),
        ("floatX", np.float32),
        ("num_threads", -1),
        ("num_threads", 2.0),
        ("num_threads", "two"),
        ("num_threads", True),
        ("num_threads", 10**6),
        ("optimize", "perhaps"),
        ("optimize", 2),
        ("optimize", None),
        ("memory_limit", "4 apples"),
        ("memory_limit", -5),
        ("memory_limit", 1e9),
        ("data", 5),
        ("data", "a\0b"),
        ("cache_dir", None),
        ("cache_dir", ""),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_config_bad_value_names_setting_value_and_allowed(config, name, value):
    before = getattr(config, name)
    with pytest.raises(ConfigError) as info:
        setattr(config, name, value)
    setting = next(s for s in settings() if s.name == name)
    for part in (f"config.{name}", repr(value), setting.allowed):
        assert part in str(info.value)
    assert "environment" not in str(info.value)
    with pytest.raises(ConfigError):
        config(**{name: value})  # refused when called, not only when entered
    assert getattr(config, name) == before


def test_config_bad_variable_is_named():
    config = Config({"SYMCONV_DEVICE": "cudaa"})  # no error yet: it comes where the setting is used
    with pytest.raises(ConfigError, match=r"SYMCONV_DEVICE\): 'cudaa'(.|\n)*did you mean 'cuda'"):
        _ = config.device
    assert "'cudaa' (not allowed)" in config.describe()
    config.device = "cpu"
    assert config.device == "cpu"


def test_config_unknown_setting_proposes_the_near_one(config):
    for act in (
        lambda: config.floatx,
        lambda: config(floatx="float32"),
        lambda: setattr(config, "floatx", "float32"),
    ):
        with pytest.raises(UnknownSettingError, match="'floatx'; did you mean 'floatX'"):
            act()
    assert not hasattr(config, "nonsense")
    with pytest.raises(ConfigError, match="settings: device, floatX"):
        _ = config.nonsense
    with pytest.raises(ConfigError, match="cannot be deleted"):
        del config.device


def test_config_misspelt_variable_warns():
    with pytest.warns(UserWarning, match="SYMCONV_NUM_THREAD is not .* did you mean SYMCONV_NUM_THREADS"):
        Config({"SYMCONV_NUM_THREAD": "2"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config({"SYMCONV_ISAS": "avx2", "HOME": "/", "SYMCONV_SOMETHING_ELSE": "1"})


def test_config_override_is_undone(config):
    with config(floatX="float64", num_threads=2) as inner:
        assert inner is config and config.floatX == "float64"
        with config(floatX="float32"):
            assert config.floatX == "float32" and config.num_threads == 2
        assert config.floatX == "float64"
    assert config.floatX == "float32" and config.num_threads == 0


def test_config_override_is_undone_after_an_error(config):
    with pytest.raises(RuntimeError), config(seed=5):
        raise RuntimeError
    assert config.seed == 0


def test_config_assignment_inside_an_override_ends_with_it(config):
    with config(seed=5):
        config.seed = 6
        config.num_threads = 3
        assert config.seed == 6
    assert config.seed == 0 and config.num_threads == 3


def test_config_override_stays_in_its_thread(config):
    seen = []
    with config(floatX="float64"):
        thread = threading.Thread(target=lambda: seen.append(config.floatX))
        thread.start()
        thread.join()
    assert seen == ["float32"]


def test_config_override_stays_in_its_task(config):
    async def task(dtype: str) -> str:
        with config(floatX=dtype):
            await asyncio.sleep(0.001)
            return config.floatX

    async def both() -> list[str]:
        return await asyncio.gather(task("float64"), task("float32"), task("float64"))

    assert asyncio.run(both()) == ["float64", "float32", "float64"]


def test_config_describe_shows_every_setting_and_its_source():
    config = Config({"SYMCONV_SEED": "7"})
    config.num_threads = 2
    with config(floatX="float64"):
        text = config.describe()
    for setting in settings():
        assert setting.name in text and setting.variable in text and setting.__doc__ in text
    assert "seed = 7   [environment;" in text and "num_threads = 2   [assigned;" in text
    assert "floatX = float64   [with;" in text and "device = auto   [default;" in text


def test_config_cache_dir_follows_xdg(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert Config({}).cache_dir == Path("/x/symconv")
