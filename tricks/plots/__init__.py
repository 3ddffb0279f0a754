"""The course's plots, by subject: data in, `Figure` out. `base` holds what they share, and `export` for slides."""
