"""Images: sources, checks, preparation.

`sources` chooses between `own_images`, `embedded_images`, `user_folder` and `download`; `npz_files`, `image_files` and
`published_formats` read files; `raw_images` checks and stores the result. `splits`, `greyscale`, `binarization` and
`dequantization` prepare it, and `prepared` opens it for later stages. `augmentation` changes images during training.
"""
