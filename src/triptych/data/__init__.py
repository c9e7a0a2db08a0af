"""Images: files, checks, preparation.

`npz_files` and `image_files` read files, and `own_images` the user's own images; `raw_images` checks and stores the
images of any source. `splits`, `greyscale`, `binarization` and `dequantization` prepare them, and `prepared` opens them
for later stages. `augmentation` changes images during training.
"""
