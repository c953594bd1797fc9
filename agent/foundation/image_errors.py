"""The exceptions of single images: over the budget of a parser, or no film."""

from __future__ import annotations

from agent.foundation.errors import ObjectOverBudget, UnreadableImage


class ImageOverBudget(UnreadableImage):
    """The attributes that an image is used for have more elements or items than a radiograph needs."""

    code = ObjectOverBudget.code
    hint = ObjectOverBudget.hint


class ImageNotPlausible(UnreadableImage):
    """An image shows no film; each cause has a code of its own. Such an image never reaches the network."""

    code = "image-not-plausible"
    hint = "look at the image in the PACS; if there is a film on it, report it to the developers"


class ImageTooSmall(ImageNotPlausible):
    """An image has fewer pixels than `plausibility.least_px` on its shorter side."""

    code = "image-too-small"
    hint = "send the original instead of a thumbnail, then `queue retry`, or lower `plausibility.least_px`"


class ImageTooOblong(ImageNotPlausible):
    """An image is more than three times as long as it is wide."""

    code = "image-too-oblong"
    hint = "nothing, if it is a stitched or cropped image; otherwise correct its size at the sender"


class ImageConstant(ImageNotPlausible):
    """An image is blank or nearly so."""

    code = "image-constant"
    hint = "nothing, if it is a test exposure; otherwise send the original image, then `queue retry`"


class ImageSaturated(ImageNotPlausible):
    """Nearly all of an image is black or white."""

    code = "image-saturated"
    hint = "correct the window or VOI LUT at the sender, send the image again, then `queue retry`"


class ImageWrapped(ImageNotPlausible):
    """Neighbouring pixels jump over the whole range: the upper bits of the samples were cut off."""

    code = "image-wrapped"
    hint = "correct Bits Stored at the sender, send the image again, then `queue retry`"


class ImageMostlyUnexposed(ImageNotPlausible):
    """Most of an image lies outside its shutter or collimation."""

    code = "image-unexposed"
    hint = "correct the shutter or collimator edges at the sender, send it again, then `queue retry`"
