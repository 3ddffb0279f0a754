"""What lessons and commands are made of: source on show, checks, sliders, the Trick Lab, slides."""
