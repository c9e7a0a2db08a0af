"""`triptych verify`: whether results are what they are said to be."""
