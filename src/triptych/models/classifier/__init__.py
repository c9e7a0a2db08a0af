"""Classifiers of images, whose features give FID, KID and IS a meaning without any download."""
