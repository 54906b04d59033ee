"""Settings of Sphinx. ``tox -e docs`` builds the pages, with warnings as errors."""

import builtins
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))

project = "apns-client"
copyright = "the authors of apns-client"
with open(os.path.join(HERE, "..", "apnsclient", "__init__.py"), encoding="utf-8") as source:
    release = re.search(r'^__version__ = "(.+)"$', source.read(), re.M).group(1)
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
html_theme = "furo"
html_title = "apns-client %s" % release
html_static_path = ["_static"]
html_css_files = ["site.css"]
exclude_patterns = ["_build"]
# What is copied is what is typed: neither prompts nor output.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"

# References that lead nowhere are errors; those into the standard library are not resolved, so that
# the documentation builds without a network.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(%s)" % "|".join(name for name in dir(builtins) if not name.startswith("_"))),
    ("py:.*", r"(datetime|enum|json|logging|pickle|select|socket|sqlite3|ssl|threading|uuid)\..+"),
    ("py:.*", r"sqlalchemy\..+"),
]

# Signatures stand as written; the types are comments, and the text names them.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
