"""python -m unittest discover -t . -s tests, in the folder above, with the environment that trains."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / d) for d in (".", "plugins")]
