"""Planar flows (Rezende and Mohamed 2015): one as a transform, many side by side."""
