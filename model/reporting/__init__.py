"""A study's images to a draft that was read over."""
