"""Where published images come from: `load` chooses between `embedded_images`, `user_folder` and `download`.

`published_formats` reads the files that were published. Of the stages, only fetch uses this package, so that a change
of it repeats no training.
"""
