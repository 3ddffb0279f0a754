"""The course's plots, by subject: data in, `Figure` out. `style` holds what they share, `export` writes slides."""
