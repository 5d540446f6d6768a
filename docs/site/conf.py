"""Sphinx's settings for `make site`. The pages come from build/site/source, where docs/write_site.py puts them."""

from pathlib import Path

from tidings.server.config import Config  # noqa: F401 - an environment without Tidings fails here, and not page by page

ROOT = Path(__file__).parents[2]

project = "Tidings"
html_title = "Tidings"
author = "Tidings contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
html_theme = "furo"  # loads nothing from elsewhere, and has a dark face and one for phones
html_favicon = str(ROOT / "web" / "chat" / "src" / "icon.svg")
html_extra_path = [str(ROOT / "build" / "site" / "extra")]  # the documents as they are, llms.txt, and pictures
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0f665c", "color-brand-content": "#0f665c"},
    "dark_css_variables": {"color-brand-primary": "#6fd3c4", "color-brand-content": "#6fd3c4"},
}
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
suppress_warnings = ["misc.highlighting_failure"]  # Pygments cannot read all of TSX and PL/pgSQL; it colours the rest
myst_heading_anchors = 4  # by the rule of code hosts, so that links lead to headings on both
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
napoleon_use_ivar = True
