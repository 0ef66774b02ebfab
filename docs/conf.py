"""Settings of the site: ``make docs`` builds it with Sphinx, MyST and numpydoc into docs/_build."""

import re
from pathlib import Path

import xrdcomp

project, author, copyright = "xrdcomp", "the xrdcomp developers", "the xrdcomp developers"
version = release = xrdcomp.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"  # light and dark, and a page on a phone, without a style of our own
html_title = f"xrdcomp {version}"
html_static_path = ["images"]
html_copy_source = False
numpydoc_show_class_members = False
numpydoc_validation_checks: set[str] = set()
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "code"

REPOSITORY = "https://github.com/xrdcomp/xrdcomp/blob/main"
HERE = Path(__file__).parent


def outside(_, docname, source):
    """Let links to files that are not of the site lead to the repository."""
    folder = (HERE / docname).parent

    def there(match: re.Match[str]) -> str:
        target = (folder / match[1]).resolve()
        if match[1].startswith(("http", "#")) or (target.is_relative_to(HERE) and target.is_file()):
            return match[0]
        return f"]({REPOSITORY}/{target.relative_to(HERE.parent).as_posix()}{match[2] or ''})"

    source[0] = re.sub(r"\]\(([^)#\s]+)(#[^)]*)?\)", there, source[0])


def setup(app):
    """Register what rewrites links."""
    app.connect("source-read", outside)
