# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put pip into an empty virtual environment from the wheel beside this file.

ansible-test bootstraps its environments with a script that it downloads from a host of its own. A copy of this one, in
the place where ansible-test keeps that download, does the same with nothing but a package index, which tools/sanity.py
has fetched the wheel from. Called as that script is: ``get_pip.py [pip options] pip==VERSION``. Runs on every Python
that ansible-test supports.
"""

from __future__ import annotations

import os
import runpy
import sys


def main() -> None:
    """Run pip from its wheel to install itself."""
    here = os.path.dirname(os.path.abspath(__file__))
    own_options = ("--no-setuptools", "--no-wheel")
    arguments = [word for word in sys.argv[1:] if word not in own_options]
    names = [word.replace("==", "-") + "-py3-none-any.whl" for word in arguments if word.startswith("pip==")]
    wheel = os.path.join(here, names[0])
    sys.path.insert(0, wheel)
    sys.argv = [wheel, "install", "--quiet", "--find-links", here, *arguments]
    runpy.run_module("pip", run_name="__main__")


if __name__ == "__main__":
    main()
