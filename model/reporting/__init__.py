"""From a study's images to a reviewed draft."""
