"""Detection and segmentation with backbones that were trained to classify (section 6)."""
