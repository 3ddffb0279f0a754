"""Data sets: found, verified, decoded once, cached, and fed to the device."""
