"""Starts the program skein of this wheel, in the place of Python."""

import os
import sys
import sysconfig


def program():
    """The path of the program: beside the scripts of this environment, or of the user's."""
    user = sysconfig.get_preferred_scheme("user") if hasattr(sysconfig, "get_preferred_scheme") else f"{os.name}_user"
    for folder in (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", user), os.path.dirname(sys.argv[0])):
        path = os.path.join(folder, "skein")
        if os.access(path, os.X_OK):
            return path
    sys.exit("skein-server: the program skein is not beside this module; install the wheel again: pip install --force-reinstall skein-server")


def main():
    path = program()
    os.execv(path, [path, *sys.argv[1:]])
