"""Images: sources, checks, preparation.

`sources` chooses between `embedded_images`, `user_folder` and `download`; `npz_files` and `published_formats` read
files; `raw_images` checks and stores the result. `splits`, `binarization` and `dequantization` prepare it, and
`prepared` opens it for later stages. `augmentation` changes images during training. `image_files` reads images of any
origin, to be scored.
"""
