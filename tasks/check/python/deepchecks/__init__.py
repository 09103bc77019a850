"""aloft_checks under the name of deepchecks, so that scripts run unchanged. On PYTHONPATH only where `sky test --python` puts it."""

import importlib
import importlib.abc
import importlib.util
import sys


class _Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports deepchecks.x as aloft_checks.x."""

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("deepchecks."):
            return None
        real = "aloft_checks" + name[len("deepchecks"):]
        try:
            if importlib.util.find_spec(real) is None:
                return None
        except ModuleNotFoundError:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec):
        return importlib.import_module("aloft_checks" + spec.name[len("deepchecks"):])

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, _Alias())
from aloft_checks import *  # noqa: E402,F401,F403
from aloft_checks import __version__  # noqa: E402,F401
