"""The pages of reports as Jinja templates."""

from __future__ import annotations

import functools

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@functools.cache
def template(name: str) -> Template:
    """Return a template that escapes what it is given and refuses what it is not given."""
    loader = PackageLoader("benchsuite.reports")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(name)
