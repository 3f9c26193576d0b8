"""Gives the wheel the platforms on which its program runs, from the file PLATFORM."""

import pathlib

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Platform(BuildHookInterface):
    def initialize(self, version, build_data):
        platform = pathlib.Path(self.root, "PLATFORM").read_text().strip()
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
