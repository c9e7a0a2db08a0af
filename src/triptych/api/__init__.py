"""The functions of `import triptych`."""
