"""Classifiers of images: they count the classes of samples, and their features replace Inception's."""
