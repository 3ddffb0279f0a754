"""Every trick of *Bag of Tricks for Image Classification* (He et al., 2018), once."""

from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent  # the course folder: data/, figures/, notebooks/ live here
